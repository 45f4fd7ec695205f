-- What of the stock may be promised: policies that keep units back, supply that is expected, and the sum of free units
-- from which both reckon. Policies are rules, not buckets: nothing is moved for them, so nothing can drift.

ALTER TABLE sku_lane
    -- Free units over all levels: the sum of stock_level.available, changed by the same statement.
    ADD COLUMN available bigint NOT NULL DEFAULT 0,
    -- Whether a policy keeps something back or warns of something. The lanes read policies of such SKUs only.
    ADD COLUMN has_policy boolean NOT NULL DEFAULT false;
UPDATE sku_lane l SET available = s.available
FROM (SELECT sku, sum(available) AS available FROM stock_level GROUP BY sku) AS s
WHERE l.sku = s.sku;

-- Written under the lock of the SKU's lane, so that whoever holds the lane knows the policy in force.
CREATE TABLE stock_policy (
    sku text CONSTRAINT stock_policy_pkey PRIMARY KEY CONSTRAINT stock_policy_sku_fkey REFERENCES sku_lane (sku),
    -- Units kept back over all locations together, on top of what single locations keep back.
    safety_stock bigint NOT NULL,
    -- LowStock is told when what may be promised falls to this or below; 0 for no such warning.
    low_stock_threshold bigint NOT NULL,
    -- Rises with every write; the etag.
    version bigint NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT stock_policy_safety_stock_not_negative CHECK (safety_stock >= 0),
    CONSTRAINT stock_policy_low_stock_threshold_not_negative CHECK (low_stock_threshold >= 0),
    CONSTRAINT stock_policy_version_positive CHECK (version > 0)
);

-- What one location keeps back of a SKU.
CREATE TABLE stock_policy_location (
    sku text NOT NULL CONSTRAINT stock_policy_location_sku_fkey REFERENCES stock_policy (sku),
    location_id text NOT NULL CONSTRAINT stock_policy_location_location_id_fkey REFERENCES locations (location_id),
    safety_stock bigint NOT NULL,
    low_stock_threshold bigint NOT NULL,
    CONSTRAINT stock_policy_location_pkey PRIMARY KEY (sku, location_id),
    CONSTRAINT stock_policy_location_safety_stock_not_negative CHECK (safety_stock >= 0),
    CONSTRAINT stock_policy_location_low_stock_threshold_not_negative CHECK (low_stock_threshold >= 0)
);

-- What one sales channel is not offered of a SKU. Channels belong to the order service.
CREATE TABLE stock_policy_channel (
    sku text NOT NULL CONSTRAINT stock_policy_channel_sku_fkey REFERENCES stock_policy (sku),
    channel_id text NOT NULL,
    buffer bigint NOT NULL,
    -- Most of what may be promised that is offered, in percent; 100 for no cap.
    share_percent bigint NOT NULL,
    CONSTRAINT stock_policy_channel_pkey PRIMARY KEY (sku, channel_id),
    CONSTRAINT stock_policy_channel_channel_id_length CHECK (char_length(channel_id) BETWEEN 1 AND 32),
    CONSTRAINT stock_policy_channel_buffer_not_negative CHECK (buffer >= 0),
    CONSTRAINT stock_policy_channel_share_percent_range CHECK (share_percent BETWEEN 1 AND 100)
);

ALTER TABLE reservation
    -- Sales channel of the order, whose rule applies also while its demand waits; NULL for none.
    ADD COLUMN channel_id text,
    ADD CONSTRAINT reservation_channel_id_length CHECK (char_length(channel_id) BETWEEN 1 AND 32);

-- Goods on their way, one row per SKU and location of a purchase order or transfer. Written under the lock of the SKU's
-- lane; a receipt under the same reference raises `received`.
CREATE TABLE expected_receipt (
    reference text NOT NULL,
    sku text NOT NULL CONSTRAINT expected_receipt_sku_fkey REFERENCES sku_lane (sku),
    location_id text NOT NULL CONSTRAINT expected_receipt_location_id_fkey REFERENCES locations (location_id),
    -- Units expected in all, and booked in so far; what came may be more.
    quantity bigint NOT NULL,
    received bigint NOT NULL DEFAULT 0,
    -- From when on the units can be promised.
    expected_at timestamptz NOT NULL,
    -- Nothing more will come.
    canceled boolean NOT NULL,
    -- Rises with every change; the etag.
    version bigint NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT expected_receipt_pkey PRIMARY KEY (reference, sku, location_id),
    CONSTRAINT expected_receipt_reference_length CHECK (char_length(reference) BETWEEN 1 AND 100),
    CONSTRAINT expected_receipt_quantity_positive CHECK (quantity > 0),
    CONSTRAINT expected_receipt_received_not_negative CHECK (received >= 0),
    CONSTRAINT expected_receipt_version_positive CHECK (version > 0)
);
-- Finds what is still to come of a SKU.
CREATE INDEX expected_receipt_open_idx ON expected_receipt (sku) WHERE NOT canceled AND received < quantity;
-- Lists by time: all, and of one SKU.
CREATE INDEX expected_receipt_time_idx ON expected_receipt (expected_at, reference, sku, location_id);
CREATE INDEX expected_receipt_sku_time_idx ON expected_receipt (sku, expected_at, reference, location_id);

-- Counts and moves by hand. Units that are moved pass through IN_TRANSIT, so that each place has an entry of its own.
ALTER TABLE stock_ledger
    DROP CONSTRAINT stock_ledger_entry_type_known,
    DROP CONSTRAINT stock_ledger_from_account_known,
    DROP CONSTRAINT stock_ledger_to_account_known,
    ADD CONSTRAINT stock_ledger_entry_type_known CHECK (entry_type IN ('RECEIVE', 'HOLD', 'HOLD_RELEASE', 'HOLD_EXPIRE', 'ALLOCATE', 'DEALLOCATE', 'PICK_SHORT', 'ISSUE', 'RETURN_RECEIVE', 'RESTOCK', 'SCRAP', 'QUARANTINE_IN', 'ADJUST', 'CORRECT', 'COUNT_VARIANCE', 'TRANSFER_OUT', 'TRANSFER_IN')),
    ADD CONSTRAINT stock_ledger_from_account_known CHECK (from_account IN ('AVAILABLE', 'HELD', 'ALLOCATED', 'COUNT_PENDING', 'QUARANTINE', 'QC', 'DAMAGED', 'REFURB', 'SUPPLIER', 'CUSTOMER', 'VARIANCE', 'SCRAP', 'IN_TRANSIT')),
    ADD CONSTRAINT stock_ledger_to_account_known CHECK (to_account IN ('AVAILABLE', 'HELD', 'ALLOCATED', 'COUNT_PENDING', 'QUARANTINE', 'QC', 'DAMAGED', 'REFURB', 'SUPPLIER', 'CUSTOMER', 'VARIANCE', 'SCRAP', 'IN_TRANSIT'));
