-- Stock levels, the lanes that serialise their writers, and the ledger that explains them.

-- Generations of the reservation lease: one is drawn when Redis has lost its data, so that every later token is larger
-- than every earlier one.
CREATE SEQUENCE lock_generation AS bigint;

-- One row per SKU, over all its locations: whoever changes stock or reservations of the SKU holds this row. The
-- fill factor keeps free space and no changing column is indexed, so that updates stay in their page (HOT).
CREATE TABLE sku_lane (
    sku text CONSTRAINT sku_lane_pkey PRIMARY KEY CONSTRAINT sku_lane_sku_fkey REFERENCES items (sku),
    -- Highest token of a reservation lease that wrote here, and who held it; an older holder is refused.
    fence bigint NOT NULL DEFAULT 0,
    holder uuid,
    -- Number of the last StockChanged event of the SKU.
    version bigint NOT NULL DEFAULT 0,
    CONSTRAINT sku_lane_fence_not_negative CHECK (fence >= 0),
    CONSTRAINT sku_lane_version_not_negative CHECK (version >= 0)
) WITH (fillfactor = 50);

-- Disjoint buckets in base units; their sum is on hand. The projection of stock_ledger, changed by deltas in the same
-- transaction. The CHECKs are the last word: no defect above can sell what is not there.
CREATE TABLE stock_level (
    sku text NOT NULL CONSTRAINT stock_level_sku_fkey REFERENCES sku_lane (sku),
    location_id text NOT NULL CONSTRAINT stock_level_location_id_fkey REFERENCES locations (location_id),
    -- Empty when the item has no lots.
    lot text NOT NULL DEFAULT '',
    available bigint NOT NULL DEFAULT 0,
    held bigint NOT NULL DEFAULT 0,
    allocated bigint NOT NULL DEFAULT 0,
    count_pending bigint NOT NULL DEFAULT 0,
    quarantine bigint NOT NULL DEFAULT 0,
    qc bigint NOT NULL DEFAULT 0,
    damaged bigint NOT NULL DEFAULT 0,
    refurb bigint NOT NULL DEFAULT 0,
    CONSTRAINT stock_level_pkey PRIMARY KEY (sku, location_id, lot),
    CONSTRAINT stock_level_available_not_negative CHECK (available >= 0),
    CONSTRAINT stock_level_held_not_negative CHECK (held >= 0),
    CONSTRAINT stock_level_allocated_not_negative CHECK (allocated >= 0),
    CONSTRAINT stock_level_count_pending_not_negative CHECK (count_pending >= 0),
    CONSTRAINT stock_level_quarantine_not_negative CHECK (quarantine >= 0),
    CONSTRAINT stock_level_qc_not_negative CHECK (qc >= 0),
    CONSTRAINT stock_level_damaged_not_negative CHECK (damaged >= 0),
    CONSTRAINT stock_level_refurb_not_negative CHECK (refurb >= 0)
) WITH (fillfactor = 70);

-- Append-only double entry: each row moves units from one account to another. Accounts are the buckets of stock_level
-- and, outside of them, SUPPLIER, CUSTOMER, VARIANCE and SCRAP.
CREATE TABLE stock_ledger (
    entry_id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT stock_ledger_pkey PRIMARY KEY,
    entry_type text NOT NULL,
    sku text NOT NULL,
    location_id text NOT NULL,
    lot text NOT NULL,
    from_account text NOT NULL,
    to_account text NOT NULL,
    quantity bigint NOT NULL,
    -- What moved the units: reservation/<id>/<version>, shipment/<id>, receipt/<request>, adjustment/<request>,
    -- return/<id>/<event>. With type, line and place it is unique, so that nothing is booked twice.
    cause text NOT NULL,
    -- Line of the cause: an order line, a return line, or the number of a received line.
    line text NOT NULL,
    -- Reason code of an adjustment or short pick; empty otherwise.
    reason text NOT NULL,
    -- Delivery note or purchase order of a receipt; empty otherwise.
    reference text NOT NULL,
    actor text NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT stock_ledger_entry_type_known CHECK (entry_type IN ('RECEIVE', 'HOLD', 'HOLD_RELEASE', 'HOLD_EXPIRE', 'ALLOCATE', 'DEALLOCATE', 'PICK_SHORT', 'ISSUE', 'RETURN_RECEIVE', 'RESTOCK', 'SCRAP', 'QUARANTINE_IN', 'ADJUST')),
    CONSTRAINT stock_ledger_from_account_known CHECK (from_account IN ('AVAILABLE', 'HELD', 'ALLOCATED', 'COUNT_PENDING', 'QUARANTINE', 'QC', 'DAMAGED', 'REFURB', 'SUPPLIER', 'CUSTOMER', 'VARIANCE', 'SCRAP')),
    CONSTRAINT stock_ledger_to_account_known CHECK (to_account IN ('AVAILABLE', 'HELD', 'ALLOCATED', 'COUNT_PENDING', 'QUARANTINE', 'QC', 'DAMAGED', 'REFURB', 'SUPPLIER', 'CUSTOMER', 'VARIANCE', 'SCRAP')),
    CONSTRAINT stock_ledger_accounts_differ CHECK (from_account <> to_account),
    CONSTRAINT stock_ledger_quantity_positive CHECK (quantity > 0),
    CONSTRAINT stock_ledger_cause_key UNIQUE (cause, entry_type, line, sku, location_id, lot, from_account)
);
-- Lists the entries of a SKU, newest first.
CREATE INDEX stock_ledger_sku_idx ON stock_ledger (sku, entry_id);
