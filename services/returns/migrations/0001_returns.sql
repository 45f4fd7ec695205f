-- Returns: where the goods are and where the money is, told apart. No personal data: the customer's end is
-- an address id, a country and a postal code.

CREATE TABLE returns (
    return_id uuid CONSTRAINT returns_pkey PRIMARY KEY,
    order_id uuid NOT NULL,
    order_number text NOT NULL,
    channel_id text NOT NULL,
    state text NOT NULL,
    refund_timing text NOT NULL,
    -- Location the goods go to.
    location_id text NOT NULL,
    origin_address_id text NOT NULL,
    origin_country_code text NOT NULL,
    origin_postal_code text NOT NULL,
    -- Return shipment in the shipping service; null until a label was asked for.
    shipment_id uuid,
    tracking_number text NOT NULL DEFAULT '',
    currency text NOT NULL,
    -- Paid back so far, in minor units.
    refunded bigint NOT NULL DEFAULT 0,
    -- Why it was declined or canceled.
    reason text NOT NULL DEFAULT '',
    -- Number of the last event; the etag.
    version bigint NOT NULL,
    requested_by text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT returns_state_known CHECK (state IN ('REQUESTED', 'AUTHORIZED', 'DECLINED', 'IN_TRANSIT', 'PARTIALLY_RECEIVED',
        'RECEIVED', 'INSPECTED', 'CLOSED', 'CANCELED')),
    CONSTRAINT returns_refund_timing_known CHECK (refund_timing IN ('ON_REQUEST', 'ON_RECEIPT', 'ON_INSPECTION')),
    CONSTRAINT returns_refunded_not_negative CHECK (refunded >= 0)
);
CREATE INDEX returns_order_idx ON returns (order_id);
-- Keyset pages of ListReturns.
CREATE INDEX returns_created_idx ON returns (created_at, return_id);
CREATE INDEX returns_state_created_idx ON returns (state, created_at, return_id);

CREATE TABLE return_lines (
    return_line_id uuid CONSTRAINT return_lines_pkey PRIMARY KEY,
    return_id uuid NOT NULL CONSTRAINT return_lines_return_id_fkey REFERENCES returns (return_id),
    line_number integer NOT NULL,
    order_line_id uuid NOT NULL,
    sku text NOT NULL,
    name text NOT NULL,
    reason text NOT NULL,
    -- What the inspector saw last; empty before.
    condition text NOT NULL DEFAULT '',
    advised bigint NOT NULL,
    received bigint NOT NULL DEFAULT 0,
    inspected bigint NOT NULL DEFAULT 0,
    restocked bigint NOT NULL DEFAULT 0,
    quarantined bigint NOT NULL DEFAULT 0,
    scrapped bigint NOT NULL DEFAULT 0,
    -- Units whose refund was asked of the order service, paid back, and refused by the inspector.
    refund_triggered bigint NOT NULL DEFAULT 0,
    refund_paid bigint NOT NULL DEFAULT 0,
    refund_denied bigint NOT NULL DEFAULT 0,
    CONSTRAINT return_lines_number_key UNIQUE (return_id, line_number),
    CONSTRAINT return_lines_order_line_key UNIQUE (return_id, order_line_id),
    CONSTRAINT return_lines_advised_positive CHECK (advised > 0),
    CONSTRAINT return_lines_received_within CHECK (received BETWEEN 0 AND advised),
    CONSTRAINT return_lines_inspected_within CHECK (inspected BETWEEN 0 AND received),
    CONSTRAINT return_lines_disposed_within CHECK (restocked >= 0 AND quarantined >= 0 AND scrapped >= 0
        AND restocked + quarantined + scrapped <= inspected),
    CONSTRAINT return_lines_refund_within CHECK (refund_triggered >= 0 AND refund_denied >= 0
        AND refund_triggered + refund_denied <= advised AND refund_paid BETWEEN 0 AND refund_triggered)
);
CREATE INDEX return_lines_order_line_idx ON return_lines (order_line_id);

-- One row locks an order's returns against each other, so that two requests cannot both take the last unit.
CREATE TABLE order_locks (
    order_id uuid CONSTRAINT order_locks_pkey PRIMARY KEY
);
