-- Webhooks of payment providers that were dealt with, so that a repeat is recognized. Forgotten after a month.

CREATE TABLE webhook_events (
    provider text NOT NULL,
    event_id text NOT NULL,
    taken_at timestamptz NOT NULL,
    CONSTRAINT webhook_events_pkey PRIMARY KEY (provider, event_id)
);
CREATE INDEX webhook_events_taken_idx ON webhook_events (taken_at);
