-- Fulfillment orders: what one location ships of an order. Quantities are counters of whole base units; the two axes
-- (state, floor_stage) and the counters always change together, under the lock of the fulfillment_orders row.

CREATE TABLE fulfillment_orders (
    fulfillment_order_id uuid CONSTRAINT fulfillment_orders_pkey PRIMARY KEY,
    order_id uuid NOT NULL,
    order_number text NOT NULL,
    channel_id text NOT NULL,
    location_id text NOT NULL,
    -- What created it: the request id of CreateFulfillmentOrders, or the short that was sourced again.
    batch_id uuid NOT NULL,
    -- Null for a backorder that was filled.
    proposal_id uuid CONSTRAINT fulfillment_orders_proposal_id_fkey REFERENCES sourcing_proposals (proposal_id),
    state text NOT NULL,
    floor_stage text NOT NULL,
    -- Why it is held; empty otherwise.
    hold_reason text NOT NULL DEFAULT '',
    -- By this the order service knows the full address; no personal data is kept here.
    address_id uuid NOT NULL,
    country_code text NOT NULL,
    postal_code text NOT NULL,
    service_level text NOT NULL,
    fill_policy text NOT NULL,
    -- 0 is the most urgent, 9 the least.
    priority smallint NOT NULL,
    instructions text NOT NULL,
    -- Rises with every visible change; the etag.
    version bigint NOT NULL,
    -- Number of the last event of this aggregate.
    event_sequence bigint NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT fulfillment_orders_state_known CHECK (state IN ('OPEN', 'ON_HOLD', 'IN_PROGRESS', 'INCOMPLETE', 'CLOSED', 'CANCELED')),
    CONSTRAINT fulfillment_orders_floor_stage_known CHECK (floor_stage IN ('NONE', 'RELEASED', 'PICKING', 'PICKED', 'PACKING', 'PACKED')),
    -- Work that has not started is at most released; work that goes on is on the floor.
    CONSTRAINT fulfillment_orders_state_fits_stage CHECK (
        CASE WHEN state IN ('OPEN', 'ON_HOLD') THEN floor_stage IN ('NONE', 'RELEASED')
             WHEN state IN ('IN_PROGRESS', 'INCOMPLETE', 'CLOSED') THEN floor_stage NOT IN ('NONE', 'RELEASED')
             ELSE true END),
    CONSTRAINT fulfillment_orders_hold_has_reason CHECK ((state = 'ON_HOLD') = (hold_reason <> '')),
    CONSTRAINT fulfillment_orders_service_level_known CHECK (service_level IN ('GROUND', 'TWO_DAY', 'OVERNIGHT', 'SAME_DAY')),
    CONSTRAINT fulfillment_orders_fill_policy_known CHECK (fill_policy IN ('FILL_OR_KILL', 'FILL_ALL', 'FILL_ALL_AVAILABLE')),
    CONSTRAINT fulfillment_orders_priority_range CHECK (priority BETWEEN 0 AND 9)
);
-- Fulfillment orders of an order.
CREATE INDEX fulfillment_orders_order_idx ON fulfillment_orders (order_id, created_at, fulfillment_order_id);
-- A repeat of CreateFulfillmentOrders reads its own again.
CREATE INDEX fulfillment_orders_batch_idx ON fulfillment_orders (batch_id);
-- CreateWave takes the most urgent and oldest; holds only what waits, so it does not grow with history.
CREATE INDEX fulfillment_orders_waiting_idx ON fulfillment_orders (location_id, priority, created_at, fulfillment_order_id)
    WHERE state = 'OPEN' AND floor_stage = 'NONE';
-- Keyset pages of live work, of a location and of all; do not grow with history.
CREATE INDEX fulfillment_orders_live_location_idx ON fulfillment_orders (location_id, created_at, fulfillment_order_id)
    WHERE state IN ('OPEN', 'ON_HOLD', 'IN_PROGRESS');
CREATE INDEX fulfillment_orders_live_idx ON fulfillment_orders (created_at, fulfillment_order_id)
    WHERE state IN ('OPEN', 'ON_HOLD', 'IN_PROGRESS');
-- Keyset pages over everything.
CREATE INDEX fulfillment_orders_location_idx ON fulfillment_orders (location_id, created_at, fulfillment_order_id);
CREATE INDEX fulfillment_orders_created_idx ON fulfillment_orders (created_at, fulfillment_order_id);

CREATE TABLE fulfillment_order_lines (
    fulfillment_order_line_id uuid CONSTRAINT fulfillment_order_lines_pkey PRIMARY KEY,
    fulfillment_order_id uuid NOT NULL CONSTRAINT fulfillment_order_lines_fulfillment_order_id_fkey REFERENCES fulfillment_orders (fulfillment_order_id),
    line_number integer NOT NULL,
    order_line_id uuid NOT NULL,
    sku text NOT NULL,
    lot text NOT NULL,
    reservation_id uuid NOT NULL,
    -- Copies of the item as inventory had it when the work was created, for scanning and printing.
    name text NOT NULL,
    barcodes text[] NOT NULL,
    mass_grams bigint NOT NULL,
    length_mm bigint NOT NULL,
    width_mm bigint NOT NULL,
    height_mm bigint NOT NULL,
    item_version bigint NOT NULL,
    total bigint NOT NULL,
    picked bigint NOT NULL DEFAULT 0,
    -- Units in an open pack session.
    packing bigint NOT NULL DEFAULT 0,
    -- Units in closed pack sessions.
    packed bigint NOT NULL DEFAULT 0,
    shipped bigint NOT NULL DEFAULT 0,
    short bigint NOT NULL DEFAULT 0,
    canceled bigint NOT NULL DEFAULT 0,
    CONSTRAINT fulfillment_order_lines_number_key UNIQUE (fulfillment_order_id, line_number),
    CONSTRAINT fulfillment_order_lines_total_positive CHECK (total > 0),
    CONSTRAINT fulfillment_order_lines_counters_not_negative CHECK (picked >= 0 AND packing >= 0 AND packed >= 0 AND shipped >= 0 AND short >= 0 AND canceled >= 0),
    -- No over-pick, no over-pack, no false ship.
    CONSTRAINT fulfillment_order_lines_within_total CHECK (picked + short + canceled <= total),
    CONSTRAINT fulfillment_order_lines_packed_within_picked CHECK (packed + packing <= picked),
    CONSTRAINT fulfillment_order_lines_shipped_within_packed CHECK (shipped <= packed)
);

-- Cancellations of units, so that a repeated call answers the units that it canceled.
CREATE TABLE cancellations (
    cancellation_id uuid CONSTRAINT cancellations_pkey PRIMARY KEY,
    fulfillment_order_id uuid NOT NULL CONSTRAINT cancellations_fulfillment_order_id_fkey REFERENCES fulfillment_orders (fulfillment_order_id),
    reason text NOT NULL,
    canceled_by text NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX cancellations_fulfillment_order_idx ON cancellations (fulfillment_order_id);

CREATE TABLE cancellation_lines (
    cancellation_id uuid NOT NULL CONSTRAINT cancellation_lines_cancellation_id_fkey REFERENCES cancellations (cancellation_id),
    fulfillment_order_line_id uuid NOT NULL CONSTRAINT cancellation_lines_line_id_fkey REFERENCES fulfillment_order_lines (fulfillment_order_line_id),
    quantity bigint NOT NULL,
    CONSTRAINT cancellation_lines_pkey PRIMARY KEY (cancellation_id, fulfillment_order_line_id),
    CONSTRAINT cancellation_lines_quantity_positive CHECK (quantity > 0)
);

-- Shipments whose units were counted as shipped: each is counted once, however often its event arrives.
CREATE TABLE counted_shipments (
    shipment_id uuid CONSTRAINT counted_shipments_pkey PRIMARY KEY,
    fulfillment_order_id uuid NOT NULL CONSTRAINT counted_shipments_fulfillment_order_id_fkey REFERENCES fulfillment_orders (fulfillment_order_id),
    -- Session that its packages come from.
    pack_session_id uuid NOT NULL,
    event_id uuid NOT NULL,
    counted_at timestamptz NOT NULL
);
