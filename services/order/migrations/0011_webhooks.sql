-- Webhooks to endpoints outside: what of the feed goes where, and what became of it.

CREATE TABLE webhook_endpoints (
    endpoint_id uuid CONSTRAINT webhook_endpoints_pkey PRIMARY KEY,
    -- May hold a key of the receiver: never in logs or events.
    url text NOT NULL,
    -- Empty for all.
    event_types text[] NOT NULL,
    channel_ids text[] NOT NULL,
    description text NOT NULL,
    state text NOT NULL,
    -- Why it is disabled.
    state_reason text NOT NULL DEFAULT '',
    -- Since when every attempt has failed.
    failing_since timestamptz,
    -- It gets the events after this position of the feed.
    after_pos bigint NOT NULL,
    -- Number of the last event; the etag.
    version bigint NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    -- DELETED: nobody sees it any more, and its deliveries go in the background.
    CONSTRAINT webhook_endpoints_state_known CHECK (state IN ('ENABLED', 'DISABLED', 'DELETED')),
    CONSTRAINT webhook_endpoints_state_reason_known CHECK (state_reason IN ('', 'manual', 'gone', 'failing')),
    CONSTRAINT webhook_endpoints_reason_when_disabled CHECK ((state = 'DISABLED') = (state_reason <> ''))
);

-- Secrets that sign, in a table of their own: read only to sign.
CREATE TABLE webhook_secrets (
    secret_id uuid CONSTRAINT webhook_secrets_pkey PRIMARY KEY,
    endpoint_id uuid NOT NULL CONSTRAINT webhook_secrets_endpoint_id_fkey REFERENCES webhook_endpoints (endpoint_id),
    sealed bytea NOT NULL,
    created_at timestamptz NOT NULL,
    -- Null for the present one.
    expires_at timestamptz
);
CREATE UNIQUE INDEX webhook_secrets_present_key ON webhook_secrets (endpoint_id) WHERE expires_at IS NULL;
CREATE INDEX webhook_secrets_endpoint_idx ON webhook_secrets (endpoint_id);

CREATE TABLE webhook_deliveries (
    delivery_id uuid CONSTRAINT webhook_deliveries_pkey PRIMARY KEY,
    endpoint_id uuid NOT NULL CONSTRAINT webhook_deliveries_endpoint_id_fkey REFERENCES webhook_endpoints (endpoint_id),
    event_id uuid NOT NULL,
    event_type text NOT NULL,
    -- Where the event stands in the feed; it is kept there only.
    feed_pos bigint NOT NULL,
    state text NOT NULL,
    -- Counts claims from 1 and never falls.
    attempt integer NOT NULL DEFAULT 0,
    -- Failed attempts since it was created or replayed.
    failures integer NOT NULL DEFAULT 0,
    -- When it is due; while it is being sent, until when nobody else claims it.
    next_attempt_at timestamptz NOT NULL,
    lease_holder uuid,
    last_error text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL,
    ended_at timestamptz,
    CONSTRAINT webhook_deliveries_event_key UNIQUE (event_id, endpoint_id),
    CONSTRAINT webhook_deliveries_state_known CHECK (state IN ('PENDING', 'DELIVERED', 'FAILED')),
    CONSTRAINT webhook_deliveries_ended_has_time CHECK ((state = 'PENDING') = (ended_at IS NULL)),
    CONSTRAINT webhook_deliveries_counts_not_negative CHECK (attempt >= 0 AND failures >= 0)
);
CREATE INDEX webhook_deliveries_due_idx ON webhook_deliveries (endpoint_id, next_attempt_at) WHERE state = 'PENDING';
-- Keyset pages.
CREATE INDEX webhook_deliveries_endpoint_idx ON webhook_deliveries (endpoint_id, feed_pos DESC);
CREATE INDEX webhook_deliveries_state_idx ON webhook_deliveries (endpoint_id, state, feed_pos DESC);
-- Old ones are forgotten.
CREATE INDEX webhook_deliveries_created_idx ON webhook_deliveries (created_at);

-- What was tried. Append-only, but for what goes with its delivery.
CREATE TABLE webhook_attempts (
    delivery_id uuid NOT NULL CONSTRAINT webhook_attempts_delivery_id_fkey
        REFERENCES webhook_deliveries (delivery_id) ON DELETE CASCADE,
    attempt integer NOT NULL,
    started_at timestamptz NOT NULL,
    -- 0 when there was no answer.
    status_code integer NOT NULL,
    latency_ms bigint NOT NULL,
    error text NOT NULL,
    response_excerpt text NOT NULL,
    CONSTRAINT webhook_attempts_pkey PRIMARY KEY (delivery_id, attempt)
);

-- Ranges that are still to be replayed.
CREATE TABLE webhook_replays (
    replay_id uuid CONSTRAINT webhook_replays_pkey PRIMARY KEY,
    endpoint_id uuid NOT NULL CONSTRAINT webhook_replays_endpoint_id_fkey REFERENCES webhook_endpoints (endpoint_id),
    -- Moves on to through_pos; then the row goes.
    after_pos bigint NOT NULL,
    through_pos bigint NOT NULL,
    starts_at timestamptz,
    ends_at timestamptz,
    requested_by text NOT NULL,
    created_at timestamptz NOT NULL
);
