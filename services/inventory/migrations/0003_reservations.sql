-- Stock taken for orders. Written only by the lanes, under the locks of all SKUs of the reservation.

CREATE TABLE reservation (
    -- Made by the caller.
    reservation_id uuid CONSTRAINT reservation_pkey PRIMARY KEY,
    -- NULL on the tombstone of a reservation that was released before it was made, by a caller who named no order.
    order_id uuid,
    -- Hash of the Reserve request without its request_id; NULL on a tombstone.
    fingerprint bytea,
    state text NOT NULL,
    -- Set while it lives and is not confirmed: when the sweeper ends it.
    expires_at timestamptz,
    -- Lines that could not be covered when it was made, for the answer to a repeated Reserve; NULL when none.
    shortages jsonb,
    -- Version of the aggregate; also the number of its last event.
    version bigint NOT NULL,
    actor text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT reservation_state_known CHECK (state IN ('HELD', 'ALLOCATED', 'BACKORDERED', 'CONSUMED', 'RELEASED', 'EXPIRED')),
    CONSTRAINT reservation_held_expires CHECK (state <> 'HELD' OR expires_at IS NOT NULL),
    CONSTRAINT reservation_expiry_only_open CHECK (expires_at IS NULL OR state IN ('HELD', 'BACKORDERED')),
    CONSTRAINT reservation_fingerprint_length CHECK (octet_length(fingerprint) = 32),
    CONSTRAINT reservation_version_positive CHECK (version > 0)
);
-- Lists the reservations of an order.
CREATE INDEX reservation_order_idx ON reservation (order_id, created_at, reservation_id);
-- Finds what the sweeper has to expire.
CREATE INDEX reservation_expiry_idx ON reservation (expires_at) WHERE expires_at IS NOT NULL;

-- Units of one order line in one state at one place; a part that changes state splits off.
CREATE TABLE reservation_line (
    reservation_id uuid NOT NULL CONSTRAINT reservation_line_reservation_id_fkey REFERENCES reservation (reservation_id),
    order_line_id uuid NOT NULL,
    -- Empty for demand that has not been given a place: BACKORDERED, or ended as such.
    location_id text NOT NULL,
    lot text NOT NULL,
    state text NOT NULL,
    sku text NOT NULL,
    quantity bigint NOT NULL,
    -- When the demand was made; the age by which backorders wait in line.
    queued_at timestamptz NOT NULL,
    CONSTRAINT reservation_line_pkey PRIMARY KEY (reservation_id, order_line_id, location_id, lot, state),
    CONSTRAINT reservation_line_state_known CHECK (state IN ('HELD', 'ALLOCATED', 'BACKORDERED', 'CONSUMED', 'RELEASED', 'EXPIRED')),
    CONSTRAINT reservation_line_quantity_positive CHECK (quantity > 0),
    CONSTRAINT reservation_line_live_has_place CHECK (state NOT IN ('HELD', 'ALLOCATED', 'CONSUMED') OR location_id <> ''),
    CONSTRAINT reservation_line_backorder_has_no_place CHECK (state <> 'BACKORDERED' OR (location_id = '' AND lot = ''))
);
-- Demand that waits for stock of a SKU, oldest first.
CREATE INDEX reservation_line_backordered_idx ON reservation_line (sku, queued_at, reservation_id, order_line_id) WHERE state = 'BACKORDERED';
-- Compares held and allocated stock with the reservations that hold it.
CREATE INDEX reservation_line_open_idx ON reservation_line (sku, location_id, lot) WHERE state IN ('HELD', 'ALLOCATED');
