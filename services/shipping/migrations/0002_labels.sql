-- Labels, the effects behind them, and the books of the built-in carrier.

-- One attempt to buy labels for all packages of a shipment.
CREATE TABLE labels (
    -- Derived from the shipment and the attempt.
    label_id uuid CONSTRAINT labels_pkey PRIMARY KEY,
    shipment_id uuid NOT NULL CONSTRAINT labels_shipment_id_fkey REFERENCES shipments (shipment_id),
    attempt integer NOT NULL,
    state text NOT NULL,
    carrier_id text NOT NULL,
    carrier_service text NOT NULL,
    cost bigint NOT NULL,
    currency text NOT NULL,
    expected_delivery_at timestamptz NOT NULL,
    carrier_reference text NOT NULL DEFAULT '',
    -- Why the carrier refused the last thing it was asked for.
    failure text NOT NULL DEFAULT '',
    actor text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT labels_attempt_key UNIQUE (shipment_id, attempt),
    CONSTRAINT labels_attempt_positive CHECK (attempt > 0),
    CONSTRAINT labels_state_known CHECK (state IN ('REQUESTED', 'PURCHASED', 'VOID_REQUESTED', 'VOIDED', 'FAILED', 'IN_DOUBT')),
    CONSTRAINT labels_cost_not_negative CHECK (cost >= 0)
);
-- A shipment has one live label at most.
CREATE UNIQUE INDEX labels_live_key ON labels (shipment_id) WHERE state IN ('REQUESTED', 'PURCHASED', 'VOID_REQUESTED', 'IN_DOUBT');

-- Which number belongs to which package; kept after a void, since carriers report late.
CREATE TABLE label_packages (
    label_id uuid NOT NULL CONSTRAINT label_packages_label_id_fkey REFERENCES labels (label_id),
    package_id uuid NOT NULL CONSTRAINT label_packages_package_id_fkey REFERENCES packages (package_id),
    carrier_id text NOT NULL,
    tracking_number text NOT NULL,
    CONSTRAINT label_packages_pkey PRIMARY KEY (label_id, package_id),
    CONSTRAINT label_packages_tracking_number_key UNIQUE (carrier_id, tracking_number)
);

-- Outward effects: written before they are tried, settled before they are tried again.
CREATE TABLE effects (
    effect_id uuid CONSTRAINT effects_pkey PRIMARY KEY,
    kind text NOT NULL,
    -- The name by which the carrier knows the request, whoever asks and how often.
    idempotency_key text NOT NULL CONSTRAINT effects_idempotency_key_key UNIQUE,
    -- SHA-256 of what is asked for.
    request_hash bytea NOT NULL,
    state text NOT NULL,
    label_id uuid NOT NULL CONSTRAINT effects_label_id_fkey REFERENCES labels (label_id),
    carrier_id text NOT NULL,
    carrier_reference text NOT NULL DEFAULT '',
    failure text NOT NULL DEFAULT '',
    -- Rises at every claim; an answer commits only while it is unchanged.
    attempt integer NOT NULL DEFAULT 0,
    -- End of the claim, or when to look at it again.
    next_run_at timestamptz NOT NULL,
    traceparent text NOT NULL DEFAULT '',
    actor text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT effects_kind_known CHECK (kind IN ('BUY_LABEL', 'VOID_LABEL')),
    CONSTRAINT effects_state_known CHECK (state IN ('PLANNED', 'SENT', 'CONFIRMED', 'FAILED', 'IN_DOUBT')),
    CONSTRAINT effects_request_hash_length CHECK (octet_length(request_hash) = 32)
);
-- What the reconciler looks through; holds open effects only.
CREATE INDEX effects_open_idx ON effects (next_run_at) WHERE state IN ('PLANNED', 'SENT', 'IN_DOUBT');
CREATE INDEX effects_label_idx ON effects (label_id);

-- The built-in carrier's own books. The shipping service writes here only as the carrier.
CREATE TABLE table_rate_bookings (
    idempotency_key text CONSTRAINT table_rate_bookings_pkey PRIMARY KEY,
    reference text NOT NULL CONSTRAINT table_rate_bookings_reference_key UNIQUE,
    service text NOT NULL,
    package_ids uuid[] NOT NULL,
    tracking_numbers text[] NOT NULL,
    price_cents bigint NOT NULL,
    created_at timestamptz NOT NULL,
    -- Key of the void and its time; null while the booking stands.
    void_key text,
    voided_at timestamptz,
    CONSTRAINT table_rate_bookings_number_per_package CHECK (cardinality(package_ids) = cardinality(tracking_numbers) AND cardinality(package_ids) > 0),
    CONSTRAINT table_rate_bookings_price_not_negative CHECK (price_cents >= 0),
    CONSTRAINT table_rate_bookings_void_has_time CHECK ((void_key IS NULL) = (voided_at IS NULL))
);
CREATE UNIQUE INDEX table_rate_bookings_void_key_key ON table_rate_bookings (void_key) WHERE void_key IS NOT NULL;
