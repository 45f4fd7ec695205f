-- The provider's ledger: one row per idempotency key, written once and never changed.

CREATE TABLE charges (
    idempotency_key text CONSTRAINT charges_pkey PRIMARY KEY,
    kind text NOT NULL,
    reference text NOT NULL CONSTRAINT charges_reference_key UNIQUE,
    -- The authorization of a capture or void, the capture of a refund.
    parent_reference text NOT NULL DEFAULT '',
    -- What the customer pays with; decides what this provider answers.
    token text NOT NULL DEFAULT '',
    amount bigint NOT NULL,
    currency text NOT NULL,
    approved boolean NOT NULL,
    decline_code text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL,
    CONSTRAINT charges_kind_known CHECK (kind IN ('AUTHORIZATION', 'CAPTURE', 'VOID', 'REFUND')),
    CONSTRAINT charges_amount_positive CHECK (amount > 0),
    CONSTRAINT charges_decline_has_code CHECK (approved = (decline_code = ''))
);
-- Finds what was captured, voided or refunded of a charge.
CREATE INDEX charges_parent_idx ON charges (parent_reference) WHERE parent_reference <> '';
