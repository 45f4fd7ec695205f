-- Verification of the ledger: how far the books of each SKU were found in order, what each run found, and the
-- corrections that are proposed where they disagree.

-- The ids of a SKU's entries rise in the order in which they are committed: they are drawn while the SKU's lane is
-- locked, from a sequence without a cache. So every entry that is not there yet gets an id above all that can be seen.

-- How far the ledger of a SKU was summed up, and how far it was seen to agree with levels and reservations. Refers to
-- items, not to sku_lane: the check of a foreign key locks the row it refers to, and lanes shall not wait for it.
CREATE TABLE ledger_checkpoint (
    sku text CONSTRAINT ledger_checkpoint_pkey PRIMARY KEY CONSTRAINT ledger_checkpoint_sku_fkey REFERENCES items (sku),
    -- Last entry of the SKU that is in the sums.
    entry_id bigint NOT NULL,
    -- Last entry at which all books agreed; 0 when they never have.
    agreed_entry_id bigint NOT NULL,
    CONSTRAINT ledger_checkpoint_entry_id_positive CHECK (entry_id > 0),
    CONSTRAINT ledger_checkpoint_agreed_range CHECK (agreed_entry_id BETWEEN 0 AND entry_id)
);

-- The sums, bucket by bucket. A level without a row has had no units.
CREATE TABLE ledger_checkpoint_level (
    sku text NOT NULL CONSTRAINT ledger_checkpoint_level_sku_fkey REFERENCES ledger_checkpoint (sku),
    location_id text NOT NULL,
    lot text NOT NULL,
    available bigint NOT NULL,
    held bigint NOT NULL,
    allocated bigint NOT NULL,
    count_pending bigint NOT NULL,
    quarantine bigint NOT NULL,
    qc bigint NOT NULL,
    damaged bigint NOT NULL,
    refurb bigint NOT NULL,
    CONSTRAINT ledger_checkpoint_level_pkey PRIMARY KEY (sku, location_id, lot)
);

-- One row per verification. It goes on where it stopped, whoever goes on with it.
CREATE TABLE ledger_run (
    run_id uuid CONSTRAINT ledger_run_pkey PRIMARY KEY,
    requested_by text NOT NULL,
    -- Whether it reads from the first entry instead of from where the sums end.
    is_full boolean NOT NULL,
    -- Whether it looks at some SKUs only.
    is_partial boolean NOT NULL,
    -- SKUs up to this one are done.
    after_sku text NOT NULL DEFAULT '',
    skus_checked bigint NOT NULL DEFAULT 0,
    entries_read bigint NOT NULL DEFAULT 0,
    levels_drifted bigint NOT NULL DEFAULT 0,
    -- Highest entry that was read.
    last_entry_id bigint NOT NULL DEFAULT 0,
    -- The first 500 corrections that it has proposed or found to be still true.
    corrections uuid[] NOT NULL DEFAULT '{}',
    started_at timestamptz NOT NULL,
    finished_at timestamptz,
    CONSTRAINT ledger_run_counters_not_negative CHECK (least(skus_checked, entries_read, levels_drifted, last_entry_id) >= 0)
);
-- Finds the last verification of everything.
CREATE INDEX ledger_run_finished_idx ON ledger_run (finished_at) WHERE finished_at IS NOT NULL AND NOT is_partial;

-- What would bring the books of a level together, and who decided about it.
CREATE TABLE stock_correction (
    correction_id uuid CONSTRAINT stock_correction_pkey PRIMARY KEY,
    sku text NOT NULL CONSTRAINT stock_correction_sku_fkey REFERENCES items (sku),
    location_id text NOT NULL,
    lot text NOT NULL,
    state text NOT NULL,
    -- FOLLOW_LEDGER sets the level to the sums of the ledger, KEEP_LEVEL writes entries until they are what the level
    -- says. What is proposed, then what was chosen.
    resolution text NOT NULL,
    -- Who asked for the run that found it.
    proposed_by text NOT NULL,
    proposed_at timestamptz NOT NULL,
    -- Somebody else whose run has found it, too; NULL when nobody's has.
    confirmed_by text,
    -- The ledger of the level when it was last seen so: the eight sums of the buckets of stock_level, in their order, up to
    -- this entry. An approval only reads what came after.
    summed_entry_id bigint NOT NULL,
    sums bigint[] NOT NULL,
    decided_by text,
    decided_at timestamptz,
    -- Why it was decided so, in words.
    note text NOT NULL DEFAULT '',
    version bigint NOT NULL,
    CONSTRAINT stock_correction_state_known CHECK (state IN ('PROPOSED', 'APPROVED', 'REJECTED', 'STALE')),
    CONSTRAINT stock_correction_resolution_known CHECK (resolution IN ('FOLLOW_LEDGER', 'KEEP_LEVEL')),
    CONSTRAINT stock_correction_decided CHECK ((state = 'PROPOSED') = (decided_by IS NULL) AND (decided_by IS NULL) = (decided_at IS NULL)),
    CONSTRAINT stock_correction_sums_complete CHECK (cardinality(sums) = 8),
    CONSTRAINT stock_correction_version_positive CHECK (version > 0)
);
-- One open proposal per level.
CREATE UNIQUE INDEX stock_correction_open_idx ON stock_correction (sku, location_id, lot) WHERE state = 'PROPOSED';
-- The last word about a level.
CREATE INDEX stock_correction_level_idx ON stock_correction (sku, location_id, lot, proposed_at);
-- Lists by state, newest first.
CREATE INDEX stock_correction_state_idx ON stock_correction (state, correction_id);

-- An account of the level about which the books disagreed when it was proposed.
CREATE TABLE stock_correction_drift (
    correction_id uuid NOT NULL CONSTRAINT stock_correction_drift_correction_id_fkey REFERENCES stock_correction (correction_id),
    account text NOT NULL,
    -- Sum of the ledger.
    ledger bigint NOT NULL,
    -- The bucket as it was stored.
    stored bigint NOT NULL,
    -- Units of open reservations; NULL for accounts that none hold.
    reserved bigint,
    CONSTRAINT stock_correction_drift_pkey PRIMARY KEY (correction_id, account),
    CONSTRAINT stock_correction_drift_account_known CHECK (account IN ('AVAILABLE', 'HELD', 'ALLOCATED', 'COUNT_PENDING', 'QUARANTINE', 'QC', 'DAMAGED', 'REFURB')),
    CONSTRAINT stock_correction_drift_reserved_held_or_allocated CHECK ((reserved IS NOT NULL) = (account IN ('HELD', 'ALLOCATED')))
);

-- Entries of an approved correction; their cause is correction/<id>.
ALTER TABLE stock_ledger DROP CONSTRAINT stock_ledger_entry_type_known;
ALTER TABLE stock_ledger ADD CONSTRAINT stock_ledger_entry_type_known CHECK (entry_type IN ('RECEIVE', 'HOLD', 'HOLD_RELEASE', 'HOLD_EXPIRE', 'ALLOCATE', 'DEALLOCATE', 'PICK_SHORT', 'ISSUE', 'RETURN_RECEIVE', 'RESTOCK', 'SCRAP', 'QUARANTINE_IN', 'ADJUST', 'CORRECT'));
