-- Orders, their lines and what people see of them. Amounts are minor units of the order's currency.

CREATE TABLE channels (
    channel_id text CONSTRAINT channels_pkey PRIMARY KEY,
    name text NOT NULL,
    currency text NOT NULL,
    number_prefix text NOT NULL,
    payment_policy text NOT NULL,
    tax_rate_ppm bigint NOT NULL,
    tax_rounding text NOT NULL,
    default_fill_policy text NOT NULL,
    outlier_quantity bigint NOT NULL,
    version bigint NOT NULL,
    CONSTRAINT channels_payment_policy_known CHECK (payment_policy IN ('AUTH_THEN_CAPTURE_ON_SHIP', 'PREPAID', 'NONE')),
    CONSTRAINT channels_tax_rate_range CHECK (tax_rate_ppm BETWEEN 0 AND 1000000),
    CONSTRAINT channels_tax_rounding_known CHECK (tax_rounding IN ('HALF_UP', 'HALF_EVEN')),
    CONSTRAINT channels_fill_policy_known CHECK (default_fill_policy IN ('FILL_OR_KILL', 'FILL_ALL', 'FILL_ALL_AVAILABLE')),
    CONSTRAINT channels_outlier_quantity_not_negative CHECK (outlier_quantity >= 0)
);

-- One sequence for all channels: gaps are fine, a counter row would be a hot row.
CREATE SEQUENCE order_numbers AS bigint START 100001 CACHE 20;

CREATE TABLE orders (
    order_id uuid CONSTRAINT orders_pkey PRIMARY KEY,
    order_number text NOT NULL CONSTRAINT orders_order_number_key UNIQUE,
    channel_id text NOT NULL CONSTRAINT orders_channel_id_fkey REFERENCES channels (channel_id),
    external_reference text NOT NULL DEFAULT '',
    customer_id text NOT NULL DEFAULT '',
    state text NOT NULL,
    -- Why it was rejected, canceled or expired.
    state_reason text NOT NULL DEFAULT '',
    currency text NOT NULL,
    ship_address_id uuid NOT NULL,
    bill_address_id uuid NOT NULL,
    -- Country and postal code are no personal data; the rest of the address stands in addresses.
    country_code text NOT NULL,
    postal_code text NOT NULL,
    service_level text NOT NULL,
    fill_policy text NOT NULL,
    -- Most splits the customer allows; null leaves it to the sourcing rule.
    splits_max integer,
    ship_complete boolean NOT NULL,
    priority smallint NOT NULL,
    instructions text NOT NULL DEFAULT '',
    custom_fields jsonb NOT NULL DEFAULT '{}',
    payment_provider text NOT NULL,
    payment_token text NOT NULL,
    -- Copied from the channel when placed, so that a later change does not touch orders under way.
    payment_policy text NOT NULL,
    subtotal bigint NOT NULL,
    discount bigint NOT NULL,
    tax bigint NOT NULL,
    shipping bigint NOT NULL,
    total bigint NOT NULL,
    -- Number of the last event; the etag.
    version bigint NOT NULL,
    -- Number of the last timeline row.
    timeline_sequence bigint NOT NULL DEFAULT 0,
    placed_by text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT orders_state_known CHECK (state IN ('PENDING', 'CONFIRMED', 'COMPLETED', 'REJECTED', 'CANCELED', 'EXPIRED')),
    CONSTRAINT orders_payment_policy_known CHECK (payment_policy IN ('AUTH_THEN_CAPTURE_ON_SHIP', 'PREPAID', 'NONE')),
    CONSTRAINT orders_fill_policy_known CHECK (fill_policy IN ('FILL_OR_KILL', 'FILL_ALL', 'FILL_ALL_AVAILABLE')),
    CONSTRAINT orders_priority_range CHECK (priority BETWEEN 0 AND 9),
    CONSTRAINT orders_amounts_not_negative CHECK (subtotal >= 0 AND discount >= 0 AND tax >= 0 AND shipping >= 0 AND total >= 0),
    CONSTRAINT orders_total_adds_up CHECK (total = subtotal - discount + tax + shipping)
);
CREATE UNIQUE INDEX orders_external_reference_key ON orders (channel_id, external_reference) WHERE external_reference <> '';
-- Keyset pages of ListOrders; ids are UUIDv7, so they break ties in order of time.
CREATE INDEX orders_created_idx ON orders (created_at DESC, order_id DESC);
CREATE INDEX orders_state_created_idx ON orders (state, created_at DESC, order_id DESC);
CREATE INDEX orders_channel_idx ON orders (channel_id, created_at DESC, order_id DESC);
CREATE INDEX orders_customer_idx ON orders (customer_id, created_at DESC, order_id DESC) WHERE customer_id <> '';

-- The only table with personal data.
CREATE TABLE addresses (
    address_id uuid CONSTRAINT addresses_pkey PRIMARY KEY,
    order_id uuid NOT NULL CONSTRAINT addresses_order_id_fkey REFERENCES orders (order_id) DEFERRABLE INITIALLY DEFERRED,
    recipient text NOT NULL,
    address_lines text[] NOT NULL,
    locality text NOT NULL,
    administrative_area text NOT NULL,
    postal_code text NOT NULL,
    country_code text NOT NULL,
    phone text NOT NULL,
    email text NOT NULL
);
CREATE INDEX addresses_order_idx ON addresses (order_id);

CREATE TABLE order_lines (
    order_line_id uuid CONSTRAINT order_lines_pkey PRIMARY KEY,
    order_id uuid NOT NULL CONSTRAINT order_lines_order_id_fkey REFERENCES orders (order_id),
    line_number integer NOT NULL,
    line_reference text NOT NULL DEFAULT '',
    sku text NOT NULL,
    name text NOT NULL,
    ordered bigint NOT NULL,
    unit_price bigint NOT NULL,
    price_per bigint NOT NULL,
    discounts jsonb NOT NULL DEFAULT '[]',
    subtotal bigint NOT NULL,
    discount_total bigint NOT NULL,
    tax bigint NOT NULL,
    shipping bigint NOT NULL,
    total bigint NOT NULL,
    gift_message text NOT NULL DEFAULT '',
    custom_fields jsonb NOT NULL DEFAULT '{}',
    -- Outstanding now.
    held bigint NOT NULL DEFAULT 0,
    allocated bigint NOT NULL DEFAULT 0,
    backordered bigint NOT NULL DEFAULT 0,
    -- Running totals.
    canceled bigint NOT NULL DEFAULT 0,
    picked bigint NOT NULL DEFAULT 0,
    packed bigint NOT NULL DEFAULT 0,
    shipped bigint NOT NULL DEFAULT 0,
    delivered bigint NOT NULL DEFAULT 0,
    return_requested bigint NOT NULL DEFAULT 0,
    returned bigint NOT NULL DEFAULT 0,
    refunded bigint NOT NULL DEFAULT 0,
    CONSTRAINT order_lines_number_key UNIQUE (order_id, line_number),
    CONSTRAINT order_lines_ordered_positive CHECK (ordered > 0),
    CONSTRAINT order_lines_price_per_positive CHECK (price_per > 0),
    CONSTRAINT order_lines_amounts_not_negative CHECK (unit_price >= 0 AND subtotal >= 0 AND discount_total >= 0 AND tax >= 0 AND shipping >= 0 AND total >= 0),
    CONSTRAINT order_lines_total_adds_up CHECK (total = subtotal - discount_total + tax + shipping),
    CONSTRAINT order_lines_counters_not_negative CHECK (held >= 0 AND allocated >= 0 AND backordered >= 0 AND canceled >= 0 AND picked >= 0
        AND packed >= 0 AND shipped >= 0 AND delivered >= 0 AND return_requested >= 0 AND returned >= 0 AND refunded >= 0),
    CONSTRAINT order_lines_canceled_shipped_within_ordered CHECK (canceled + shipped <= ordered),
    CONSTRAINT order_lines_refunded_within_ordered CHECK (refunded <= ordered)
);
CREATE INDEX order_lines_order_idx ON order_lines (order_id);

CREATE TABLE holds (
    hold_id uuid CONSTRAINT holds_pkey PRIMARY KEY,
    order_id uuid NOT NULL CONSTRAINT holds_order_id_fkey REFERENCES orders (order_id),
    order_line_id uuid CONSTRAINT holds_order_line_id_fkey REFERENCES order_lines (order_line_id),
    reason text NOT NULL,
    blocks text[] NOT NULL,
    state text NOT NULL,
    note text NOT NULL DEFAULT '',
    placed_by text NOT NULL,
    created_at timestamptz NOT NULL,
    release_at timestamptz,
    released_by text NOT NULL DEFAULT '',
    released_at timestamptz,
    CONSTRAINT holds_state_known CHECK (state IN ('ACTIVE', 'RELEASED')),
    CONSTRAINT holds_blocks_some CHECK (cardinality(blocks) > 0 AND blocks <@ ARRAY['CONFIRM', 'RELEASE_TO_NODE', 'CAPTURE']),
    CONSTRAINT holds_released_has_time CHECK ((state = 'RELEASED') = (released_at IS NOT NULL))
);
CREATE INDEX holds_order_idx ON holds (order_id);
CREATE INDEX holds_active_idx ON holds (created_at, hold_id) WHERE state = 'ACTIVE';

-- What happened to an order, for people. Append-only.
CREATE TABLE timeline (
    order_id uuid NOT NULL CONSTRAINT timeline_order_id_fkey REFERENCES orders (order_id),
    sequence bigint NOT NULL,
    occurred_at timestamptz NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    from_state text NOT NULL DEFAULT '',
    to_state text NOT NULL DEFAULT '',
    detail text NOT NULL DEFAULT '',
    trace_id text NOT NULL DEFAULT '',
    CONSTRAINT timeline_pkey PRIMARY KEY (order_id, sequence)
);
