-- The order-to-cash saga as rows, what it reserved, and the work it created.

CREATE TABLE sagas (
    order_id uuid CONSTRAINT sagas_pkey PRIMARY KEY CONSTRAINT sagas_order_id_fkey REFERENCES orders (order_id),
    step text NOT NULL,
    state text NOT NULL,
    -- Why it unwinds; becomes the order's state_reason.
    undo_reason text NOT NULL DEFAULT '',
    -- State the order ends in when the unwinding is done.
    undo_to text NOT NULL DEFAULT '',
    lease_holder uuid,
    lease_until timestamptz,
    -- Rises at every claim; a result commits only while it is unchanged.
    attempt integer NOT NULL DEFAULT 0,
    -- Failures of the present step in a row.
    failures integer NOT NULL DEFAULT 0,
    next_run_at timestamptz NOT NULL,
    cancel_requested boolean NOT NULL DEFAULT false,
    -- Rises with everything that happens outside and matters to the saga (a hold released, a cancellation asked for).
    -- A step that decides to wait looks at it again under the lock, so that no wake-up is lost.
    signals bigint NOT NULL DEFAULT 0,
    -- Rises when a reservation has to be made again under a new id.
    reservation_attempt integer NOT NULL DEFAULT 1,
    -- The proposal's ranked nodes, eligible nodes and split rules, as Reserve wants them.
    proposal jsonb,
    -- When inventory lets the present reservation run out; null while nothing is held.
    reservation_expires_at timestamptz,
    -- When the present reservation was made; it can be extended to two hours after that.
    reserved_at timestamptz,
    last_error text NOT NULL DEFAULT '',
    stuck_since timestamptz,
    -- PENDING orders expire at this time.
    expires_at timestamptz NOT NULL,
    traceparent text NOT NULL DEFAULT '',
    started_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT sagas_step_known CHECK (step IN ('screen', 'source', 'reserve', 'await_holds', 'authorize', 'allocate', 'confirm', 'release')),
    CONSTRAINT sagas_state_known CHECK (state IN ('RUNNING', 'WAITING', 'UNDOING', 'DONE', 'STUCK')),
    CONSTRAINT sagas_stuck_has_time CHECK ((state = 'STUCK') = (stuck_since IS NOT NULL)),
    CONSTRAINT sagas_undo_to_known CHECK (undo_to IN ('', 'REJECTED', 'CANCELED', 'EXPIRED'))
);
CREATE INDEX sagas_due_idx ON sagas (next_run_at) WHERE state IN ('RUNNING', 'WAITING', 'UNDOING');
CREATE INDEX sagas_stuck_idx ON sagas (stuck_since, order_id) WHERE state = 'STUCK';

-- The step ledger. Append-only.
CREATE TABLE saga_steps (
    order_id uuid NOT NULL CONSTRAINT saga_steps_order_id_fkey REFERENCES orders (order_id),
    entry bigint GENERATED ALWAYS AS IDENTITY,
    step text NOT NULL,
    attempt integer NOT NULL,
    outcome text NOT NULL,
    detail text NOT NULL DEFAULT '',
    recorded_at timestamptz NOT NULL,
    CONSTRAINT saga_steps_pkey PRIMARY KEY (order_id, entry),
    CONSTRAINT saga_steps_outcome_known CHECK (outcome IN ('STARTED', 'SUCCEEDED', 'FAILED', 'UNDO_STARTED', 'UNDONE', 'UNDO_FAILED'))
);

-- The order's copy of its reservations, by inventory's version.
CREATE TABLE reservations (
    reservation_id uuid CONSTRAINT reservations_pkey PRIMARY KEY,
    order_id uuid NOT NULL CONSTRAINT reservations_order_id_fkey REFERENCES orders (order_id),
    -- "saga/<attempt>", "short/<event id>" and so on: why it was made.
    cause text NOT NULL,
    state text NOT NULL,
    version bigint NOT NULL,
    -- Version whose allocated units went into the first batch for fulfillment; later allocations make batches of their own.
    batched_version bigint NOT NULL DEFAULT 0,
    CONSTRAINT reservations_state_known CHECK (state IN ('HELD', 'ALLOCATED', 'BACKORDERED', 'CONSUMED', 'RELEASED', 'EXPIRED'))
);
CREATE INDEX reservations_order_idx ON reservations (order_id);

CREATE TABLE reservation_lines (
    reservation_id uuid NOT NULL CONSTRAINT reservation_lines_reservation_id_fkey REFERENCES reservations (reservation_id),
    order_line_id uuid NOT NULL CONSTRAINT reservation_lines_order_line_id_fkey REFERENCES order_lines (order_line_id),
    location_id text NOT NULL DEFAULT '',
    lot text NOT NULL DEFAULT '',
    state text NOT NULL,
    quantity bigint NOT NULL,
    CONSTRAINT reservation_lines_pkey PRIMARY KEY (reservation_id, order_line_id, location_id, lot, state),
    CONSTRAINT reservation_lines_quantity_positive CHECK (quantity > 0)
);

-- What is handed to fulfillment in one call: a batch of allocated units. Once SENT its lines do not change any more, so
-- that a repeat of the call says the same.
CREATE TABLE releases (
    order_id uuid NOT NULL CONSTRAINT releases_order_id_fkey REFERENCES orders (order_id),
    -- "order" for what was allocated when the order was confirmed, "backorder/<event id>" for what came later.
    batch text NOT NULL,
    state text NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT releases_pkey PRIMARY KEY (order_id, batch),
    CONSTRAINT releases_state_known CHECK (state IN ('PLANNED', 'SENT', 'RELEASED'))
);

CREATE TABLE release_lines (
    order_id uuid NOT NULL,
    batch text NOT NULL,
    reservation_id uuid NOT NULL CONSTRAINT release_lines_reservation_id_fkey REFERENCES reservations (reservation_id),
    order_line_id uuid NOT NULL CONSTRAINT release_lines_order_line_id_fkey REFERENCES order_lines (order_line_id),
    location_id text NOT NULL,
    lot text NOT NULL DEFAULT '',
    quantity bigint NOT NULL,
    CONSTRAINT release_lines_pkey PRIMARY KEY (order_id, batch, reservation_id, order_line_id, location_id, lot),
    CONSTRAINT release_lines_batch_fkey FOREIGN KEY (order_id, batch) REFERENCES releases (order_id, batch),
    CONSTRAINT release_lines_quantity_positive CHECK (quantity > 0)
);

-- Fulfillment orders that work on an order.
CREATE TABLE fulfillment_orders (
    fulfillment_order_id uuid CONSTRAINT fulfillment_orders_pkey PRIMARY KEY,
    order_id uuid NOT NULL CONSTRAINT fulfillment_orders_order_id_fkey REFERENCES orders (order_id),
    location_id text NOT NULL,
    state text NOT NULL
);
CREATE INDEX fulfillment_orders_order_idx ON fulfillment_orders (order_id);

-- Shipments that were handed over.
CREATE TABLE shipments (
    shipment_id uuid CONSTRAINT shipments_pkey PRIMARY KEY,
    order_id uuid NOT NULL CONSTRAINT shipments_order_id_fkey REFERENCES orders (order_id),
    shipped_at timestamptz NOT NULL,
    delivered_at timestamptz
);
CREATE INDEX shipments_order_idx ON shipments (order_id);

CREATE TABLE cancellations (
    cancellation_id uuid CONSTRAINT cancellations_pkey PRIMARY KEY,
    order_id uuid NOT NULL CONSTRAINT cancellations_order_id_fkey REFERENCES orders (order_id),
    state text NOT NULL,
    reason text NOT NULL,
    note text NOT NULL DEFAULT '',
    actor text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT cancellations_state_known CHECK (state IN ('REQUESTED', 'IN_PROGRESS', 'COMPLETED', 'PARTIALLY_COMPLETED', 'REFUSED'))
);
CREATE INDEX cancellations_order_idx ON cancellations (order_id);

CREATE TABLE cancellation_lines (
    cancellation_id uuid NOT NULL CONSTRAINT cancellation_lines_cancellation_id_fkey REFERENCES cancellations (cancellation_id),
    order_line_id uuid NOT NULL CONSTRAINT cancellation_lines_order_line_id_fkey REFERENCES order_lines (order_line_id),
    quantity bigint NOT NULL,
    canceled bigint NOT NULL DEFAULT 0,
    CONSTRAINT cancellation_lines_pkey PRIMARY KEY (cancellation_id, order_line_id),
    CONSTRAINT cancellation_lines_quantity_positive CHECK (quantity > 0),
    CONSTRAINT cancellation_lines_canceled_within CHECK (canceled BETWEEN 0 AND quantity)
);

CREATE TABLE cancellation_legs (
    cancellation_id uuid NOT NULL CONSTRAINT cancellation_legs_cancellation_id_fkey REFERENCES cancellations (cancellation_id),
    name text NOT NULL,
    state text NOT NULL,
    detail text NOT NULL DEFAULT '',
    CONSTRAINT cancellation_legs_pkey PRIMARY KEY (cancellation_id, name),
    CONSTRAINT cancellation_legs_name_known CHECK (name IN ('fulfillment', 'reservation', 'payment')),
    CONSTRAINT cancellation_legs_state_known CHECK (state IN ('PENDING', 'DONE', 'REFUSED', 'IN_DOUBT'))
);
