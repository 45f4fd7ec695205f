-- Shipments, packages, labels and what carriers report. No table here holds a name, a street, a telephone number or
-- an e-mail address: the order service keeps addresses, and a label is rendered from a fresh one when it is asked for.

CREATE TABLE shipments (
    shipment_id uuid CONSTRAINT shipments_pkey PRIMARY KEY,
    order_id uuid NOT NULL,
    order_number text NOT NULL,
    direction text NOT NULL,
    fulfillment_order_id uuid,
    pack_session_id uuid,
    return_id uuid,
    state text NOT NULL,
    -- The location the goods leave from, or go back to.
    location_id text NOT NULL,
    -- The customer's end. The id names the address in the order service; null when only a price was asked for.
    address_id uuid,
    country_code text NOT NULL,
    postal_code text NOT NULL,
    service_level text NOT NULL,
    channel_id text NOT NULL DEFAULT '',
    -- Number of the last label attempt; 0 before the first.
    label_attempt integer NOT NULL DEFAULT 0,
    -- Number of the last event; the etag.
    version bigint NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    -- When it was handed over, by the confirmation or by the carrier's first scan.
    shipped_at timestamptz,
    -- Somebody confirmed the handover; a scan may come first.
    ship_confirmed boolean NOT NULL DEFAULT false,
    CONSTRAINT shipments_direction_known CHECK (direction IN ('OUTBOUND', 'RETURN')),
    CONSTRAINT shipments_state_known CHECK (state IN ('DRAFT', 'LABELED', 'SHIPPED', 'DELIVERED', 'DELIVERY_FAILED', 'CANCELED')),
    CONSTRAINT shipments_service_level_known CHECK (service_level IN ('GROUND', 'TWO_DAY', 'OVERNIGHT', 'SAME_DAY')),
    -- What makes it: a pack session for the way out, a return for the way back.
    CONSTRAINT shipments_cause_fits_direction CHECK (
        (direction = 'OUTBOUND' AND pack_session_id IS NOT NULL AND return_id IS NULL)
        OR (direction = 'RETURN' AND return_id IS NOT NULL AND pack_session_id IS NULL)),
    CONSTRAINT shipments_shipped_has_time CHECK ((state IN ('SHIPPED', 'DELIVERED', 'DELIVERY_FAILED')) = (shipped_at IS NOT NULL)),
    CONSTRAINT shipments_label_attempt_not_negative CHECK (label_attempt >= 0),
    CONSTRAINT shipments_version_positive CHECK (version > 0)
);
-- Packed goods travel once: a second shipment of a session needs the first one canceled.
CREATE UNIQUE INDEX shipments_live_pack_session_key ON shipments (pack_session_id) WHERE state <> 'CANCELED';
CREATE INDEX shipments_order_idx ON shipments (order_id, created_at, shipment_id);
CREATE INDEX shipments_fulfillment_order_idx ON shipments (fulfillment_order_id) WHERE fulfillment_order_id IS NOT NULL;
-- Keyset pages of ListShipments, with and without a location.
CREATE INDEX shipments_created_idx ON shipments (created_at, shipment_id);
CREATE INDEX shipments_location_idx ON shipments (location_id, created_at, shipment_id);
-- Pages by state without the many shipments that ended.
CREATE INDEX shipments_open_idx ON shipments (created_at, shipment_id) WHERE state IN ('DRAFT', 'LABELED');

CREATE TABLE packages (
    package_id uuid CONSTRAINT packages_pkey PRIMARY KEY,
    shipment_id uuid NOT NULL CONSTRAINT packages_shipment_id_fkey REFERENCES shipments (shipment_id),
    package_number integer NOT NULL,
    mass_grams bigint NOT NULL,
    length_mm bigint NOT NULL,
    width_mm bigint NOT NULL,
    height_mm bigint NOT NULL,
    -- Number of the label that the package carries now; empty when none.
    tracking_number text NOT NULL DEFAULT '',
    -- Where it is, merged from tracking_events by rank; null before the first report.
    tracking_status text,
    tracked_at timestamptz,
    CONSTRAINT packages_number_key UNIQUE (shipment_id, package_number),
    CONSTRAINT packages_number_positive CHECK (package_number > 0),
    CONSTRAINT packages_mass_positive CHECK (mass_grams > 0),
    CONSTRAINT packages_dimensions_positive CHECK (length_mm > 0 AND width_mm > 0 AND height_mm > 0),
    CONSTRAINT packages_tracking_status_known CHECK (tracking_status IN ('UNKNOWN', 'PRE_TRANSIT', 'IN_TRANSIT', 'OUT_FOR_DELIVERY', 'DELIVERY_ATTEMPTED', 'AVAILABLE_FOR_PICKUP', 'EXCEPTION', 'DELIVERED', 'RETURN_TO_SENDER', 'RETURNED', 'LOST', 'DAMAGED')),
    CONSTRAINT packages_tracking_has_time CHECK ((tracking_status IS NULL) = (tracked_at IS NULL))
);

-- One row per (shipment, package, order line, reservation, lot): the grain that inventory issues and order captures by.
CREATE TABLE package_lines (
    package_id uuid NOT NULL CONSTRAINT package_lines_package_id_fkey REFERENCES packages (package_id),
    line_number integer NOT NULL,
    order_line_id uuid NOT NULL,
    sku text NOT NULL,
    name text NOT NULL,
    quantity bigint NOT NULL,
    reservation_id uuid,
    lot text NOT NULL DEFAULT '',
    fulfillment_order_line_id uuid,
    CONSTRAINT package_lines_pkey PRIMARY KEY (package_id, line_number),
    CONSTRAINT package_lines_quantity_positive CHECK (quantity > 0)
);

-- Closed pack sessions as the fulfillment feed told them: proof that goods were packed by scan.
CREATE TABLE pack_sessions (
    pack_session_id uuid CONSTRAINT pack_sessions_pkey PRIMARY KEY,
    fulfillment_order_id uuid NOT NULL,
    order_id uuid NOT NULL,
    -- Event that told it.
    event_id uuid NOT NULL,
    created_at timestamptz NOT NULL
);

CREATE TABLE pack_session_lines (
    pack_session_id uuid NOT NULL CONSTRAINT pack_session_lines_pack_session_id_fkey REFERENCES pack_sessions (pack_session_id),
    line_number integer NOT NULL,
    order_line_id uuid NOT NULL,
    reservation_id uuid,
    lot text NOT NULL DEFAULT '',
    quantity bigint NOT NULL,
    CONSTRAINT pack_session_lines_pkey PRIMARY KEY (pack_session_id, line_number),
    CONSTRAINT pack_session_lines_quantity_positive CHECK (quantity > 0)
);
