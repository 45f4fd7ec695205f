-- Which traces an order has: the trace of a step of its saga, and what the trace of a step or of a row of the timeline goes on
-- with (a trace of its own is begun an hour after the one before). Empty when there is none.
ALTER TABLE timeline ADD COLUMN linked_trace_id text NOT NULL DEFAULT '';
ALTER TABLE saga_steps
    ADD COLUMN trace_id text NOT NULL DEFAULT '',
    ADD COLUMN linked_trace_id text NOT NULL DEFAULT '';
