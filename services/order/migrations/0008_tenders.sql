-- Orders that are paid by several tenders, and the books of credit that is kept here.

-- In the order in which money is taken from them: objects with provider, token and amount, which is null for the one
-- that takes the rest. Empty for an order with one that pays for everything: payment_provider and payment_token.
ALTER TABLE orders ADD COLUMN tenders jsonb NOT NULL DEFAULT '[]';

-- Number of the order's tender that a transaction is of, from 1.
ALTER TABLE payments ADD COLUMN tender integer NOT NULL DEFAULT 1;
ALTER TABLE payments ADD CONSTRAINT payments_tender_positive CHECK (tender > 0);

-- Accounts of customers on terms, and store credits. What is authorized and used is the sum of their entries.
CREATE TABLE credits (
    -- Also the name of the payment provider.
    book text NOT NULL,
    -- Reference of the account, or code of the store credit: the token of a tender.
    reference text NOT NULL,
    currency text NOT NULL,
    -- Credit limit, or what was issued.
    ceiling bigint NOT NULL,
    authorized bigint NOT NULL,
    -- Captured less refunded, and less what was paid of an account.
    used bigint NOT NULL,
    net_days integer NOT NULL,
    -- Version of the settings.
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT credits_pkey PRIMARY KEY (book, reference),
    CONSTRAINT credits_book_known CHECK (book IN ('terms', 'store_credit')),
    CONSTRAINT credits_amounts_not_negative CHECK (ceiling >= 0 AND authorized >= 0),
    CONSTRAINT credits_net_days_range CHECK (net_days BETWEEN 0 AND 365),
    CONSTRAINT credits_store_credit_covered CHECK (book <> 'store_credit' OR (used >= 0 AND authorized + used <= ceiling))
);

-- What moved on them. Append-only; what was refused moved nothing.
CREATE TABLE credit_entries (
    -- The key of the payment's effect; a new id for what no order asked for.
    entry_key text CONSTRAINT credit_entries_pkey PRIMARY KEY,
    book text NOT NULL,
    reference text NOT NULL,
    kind text NOT NULL,
    -- Authorization of a capture or void, capture of a refund.
    parent_key text CONSTRAINT credit_entries_parent_key_fkey REFERENCES credit_entries (entry_key),
    amount bigint NOT NULL,
    actor text NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT credit_entries_credit_fkey FOREIGN KEY (book, reference) REFERENCES credits (book, reference),
    CONSTRAINT credit_entries_kind_known CHECK (kind IN ('ISSUE', 'AUTHORIZATION', 'CAPTURE', 'VOID', 'REFUND', 'PAYMENT')),
    CONSTRAINT credit_entries_amount_positive CHECK (amount > 0)
);
CREATE INDEX credit_entries_parent_idx ON credit_entries (parent_key) WHERE parent_key IS NOT NULL;
CREATE INDEX credit_entries_credit_idx ON credit_entries (book, reference, created_at);

-- When an invoice is to be paid that is, in part at least, paid on terms.
ALTER TABLE invoices ADD COLUMN due_at timestamptz;

-- What the carrier is to collect with a shipment of an order that is paid at the door.
CREATE TABLE collections (
    order_id uuid NOT NULL CONSTRAINT collections_order_id_fkey REFERENCES orders (order_id),
    shipment_id uuid NOT NULL CONSTRAINT collections_shipment_id_fkey REFERENCES shipments (shipment_id),
    -- Authorization that its capture draws from, and the cause of that capture.
    authorization_id uuid NOT NULL CONSTRAINT collections_authorization_id_fkey REFERENCES payments (payment_id),
    cause text NOT NULL,
    amount bigint NOT NULL,
    state text NOT NULL,
    recorded_by text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT collections_pkey PRIMARY KEY (order_id, shipment_id),
    CONSTRAINT collections_amount_positive CHECK (amount > 0),
    CONSTRAINT collections_state_known CHECK (state IN ('DUE', 'COLLECTED', 'REFUSED'))
);
