-- The warehouse floor: waves, pick lists, shorts, pack sessions.

CREATE TABLE waves (
    wave_id uuid CONSTRAINT waves_pkey PRIMARY KEY,
    location_id text NOT NULL,
    method text NOT NULL,
    released_by text NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT waves_method_known CHECK (method IN ('SINGLE', 'BATCH'))
);

CREATE TABLE pick_lists (
    pick_list_id uuid CONSTRAINT pick_lists_pkey PRIMARY KEY,
    wave_id uuid NOT NULL CONSTRAINT pick_lists_wave_id_fkey REFERENCES waves (wave_id),
    location_id text NOT NULL,
    state text NOT NULL,
    -- Worker that has it, such as user:ann; empty when nobody.
    assignee text NOT NULL DEFAULT '',
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT pick_lists_state_known CHECK (state IN ('CREATED', 'ASSIGNED', 'IN_PROGRESS', 'COMPLETED', 'CANCELED')),
    CONSTRAINT pick_lists_assigned_has_assignee CHECK (state <> 'ASSIGNED' OR assignee <> '')
);
CREATE INDEX pick_lists_wave_idx ON pick_lists (wave_id);
-- Keyset pages of a location's open lists; does not grow with history.
CREATE INDEX pick_lists_live_idx ON pick_lists (location_id, created_at, pick_list_id)
    WHERE state IN ('CREATED', 'ASSIGNED', 'IN_PROGRESS');
-- Keyset pages over all lists of a location.
CREATE INDEX pick_lists_location_idx ON pick_lists (location_id, created_at, pick_list_id);

CREATE TABLE pick_lines (
    pick_line_id uuid CONSTRAINT pick_lines_pkey PRIMARY KEY,
    pick_list_id uuid NOT NULL CONSTRAINT pick_lines_pick_list_id_fkey REFERENCES pick_lists (pick_list_id),
    -- Place on the walk.
    line_number integer NOT NULL,
    fulfillment_order_id uuid NOT NULL CONSTRAINT pick_lines_fulfillment_order_id_fkey REFERENCES fulfillment_orders (fulfillment_order_id),
    -- A line of work is on one pick list.
    fulfillment_order_line_id uuid NOT NULL
        CONSTRAINT pick_lines_fulfillment_order_line_id_fkey REFERENCES fulfillment_order_lines (fulfillment_order_line_id)
        CONSTRAINT pick_lines_fulfillment_order_line_id_key UNIQUE,
    quantity bigint NOT NULL,
    picked bigint NOT NULL DEFAULT 0,
    short bigint NOT NULL DEFAULT 0,
    canceled bigint NOT NULL DEFAULT 0,
    state text NOT NULL,
    -- Who scanned it last; empty before.
    picked_by text NOT NULL DEFAULT '',
    CONSTRAINT pick_lines_number_key UNIQUE (pick_list_id, line_number),
    CONSTRAINT pick_lines_state_known CHECK (state IN ('PENDING', 'PICKED', 'SHORT', 'CANCELED')),
    CONSTRAINT pick_lines_quantity_positive CHECK (quantity > 0),
    CONSTRAINT pick_lines_counters_not_negative CHECK (picked >= 0 AND short >= 0 AND canceled >= 0),
    CONSTRAINT pick_lines_within_quantity CHECK (picked + short + canceled <= quantity),
    CONSTRAINT pick_lines_pending_has_open_units CHECK ((state = 'PENDING') = (picked + short + canceled < quantity)),
    CONSTRAINT pick_lines_picked_has_picker CHECK (picked = 0 OR picked_by <> '')
);
-- Pick lines of a fulfillment order, for its cancellation.
CREATE INDEX pick_lines_fulfillment_order_idx ON pick_lines (fulfillment_order_id);

-- Units that a picker did not find, and what became of them.
CREATE TABLE shorts (
    short_id uuid CONSTRAINT shorts_pkey PRIMARY KEY,
    fulfillment_order_id uuid NOT NULL CONSTRAINT shorts_fulfillment_order_id_fkey REFERENCES fulfillment_orders (fulfillment_order_id),
    fulfillment_order_line_id uuid NOT NULL CONSTRAINT shorts_fulfillment_order_line_id_fkey REFERENCES fulfillment_order_lines (fulfillment_order_line_id),
    order_id uuid NOT NULL,
    sku text NOT NULL,
    location_id text NOT NULL,
    quantity bigint NOT NULL,
    reason text NOT NULL,
    state text NOT NULL,
    -- Units that another location ships.
    resourced bigint NOT NULL DEFAULT 0,
    -- Units that no location has.
    unfillable bigint NOT NULL DEFAULT 0,
    reported_by text NOT NULL,
    created_at timestamptz NOT NULL,
    resolved_at timestamptz,
    CONSTRAINT shorts_quantity_positive CHECK (quantity > 0),
    CONSTRAINT shorts_reason_known CHECK (reason IN ('NOT_FOUND', 'DAMAGED', 'OTHER')),
    CONSTRAINT shorts_state_known CHECK (state IN ('PENDING', 'RESOLVED')),
    CONSTRAINT shorts_parts_not_negative CHECK (resourced >= 0 AND unfillable >= 0),
    CONSTRAINT shorts_resolved_adds_up CHECK (resourced + unfillable = CASE state WHEN 'RESOLVED' THEN quantity ELSE 0 END),
    CONSTRAINT shorts_resolved_has_time CHECK ((state = 'RESOLVED') = (resolved_at IS NOT NULL))
);
-- Locations that failed an order before are not asked again for the same item.
CREATE INDEX shorts_order_idx ON shorts (order_id);

CREATE TABLE pack_sessions (
    pack_session_id uuid CONSTRAINT pack_sessions_pkey PRIMARY KEY,
    fulfillment_order_id uuid NOT NULL CONSTRAINT pack_sessions_fulfillment_order_id_fkey REFERENCES fulfillment_orders (fulfillment_order_id),
    state text NOT NULL,
    packed_by text NOT NULL,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT pack_sessions_state_known CHECK (state IN ('OPEN', 'CLOSED', 'ABANDONED'))
);
CREATE INDEX pack_sessions_fulfillment_order_idx ON pack_sessions (fulfillment_order_id);
-- One session at a time.
CREATE UNIQUE INDEX pack_sessions_open_key ON pack_sessions (fulfillment_order_id) WHERE state = 'OPEN';

CREATE TABLE packages (
    package_id uuid CONSTRAINT packages_pkey PRIMARY KEY,
    pack_session_id uuid NOT NULL CONSTRAINT packages_pack_session_id_fkey REFERENCES pack_sessions (pack_session_id),
    package_number integer NOT NULL,
    -- Null until it is weighed and measured.
    mass_grams bigint,
    length_mm bigint,
    width_mm bigint,
    height_mm bigint,
    CONSTRAINT packages_number_key UNIQUE (pack_session_id, package_number),
    CONSTRAINT packages_number_range CHECK (package_number BETWEEN 1 AND 100),
    CONSTRAINT packages_mass_range CHECK (mass_grams BETWEEN 1 AND 1000000),
    CONSTRAINT packages_sides_range CHECK (length_mm BETWEEN 1 AND 10000 AND width_mm BETWEEN 1 AND 10000 AND height_mm BETWEEN 1 AND 10000),
    CONSTRAINT packages_measured_at_once CHECK (num_nulls(mass_grams, length_mm, width_mm, height_mm) IN (0, 4))
);

CREATE TABLE package_lines (
    package_id uuid NOT NULL CONSTRAINT package_lines_package_id_fkey REFERENCES packages (package_id),
    fulfillment_order_line_id uuid NOT NULL CONSTRAINT package_lines_fulfillment_order_line_id_fkey REFERENCES fulfillment_order_lines (fulfillment_order_line_id),
    quantity bigint NOT NULL,
    -- Who scanned it last.
    packed_by text NOT NULL,
    CONSTRAINT package_lines_pkey PRIMARY KEY (package_id, fulfillment_order_line_id),
    CONSTRAINT package_lines_quantity_positive CHECK (quantity > 0)
);
