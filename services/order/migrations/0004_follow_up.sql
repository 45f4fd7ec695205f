-- What happens after the confirmation: events of peers, cancellations step by step.

-- Number of the last event of a peer's aggregate that counted here. A counter that a peer feeds moves only by its events,
-- each once, also when the feed is read again from its beginning.
CREATE TABLE peer_versions (
    source text NOT NULL,
    aggregate_id text NOT NULL,
    version bigint NOT NULL,
    CONSTRAINT peer_versions_pkey PRIMARY KEY (source, aggregate_id),
    CONSTRAINT peer_versions_version_positive CHECK (version > 0)
);

-- What a cancellation asks of others, and what they have answered so far; null before it is planned.
ALTER TABLE cancellations ADD COLUMN plan jsonb;

-- Invoices of an order, and the units of a line that its credit memos took back.
CREATE INDEX invoices_order_idx ON invoices (order_id, created_at, invoice_id);
CREATE INDEX invoice_lines_order_line_idx ON invoice_lines (order_line_id);
