-- Payments, the effects behind them, invoices, and the ledger of the built-in sandbox provider.

-- Append-only ledger of payment transactions; only the state of a row moves.
CREATE TABLE payments (
    payment_id uuid CONSTRAINT payments_pkey PRIMARY KEY,
    order_id uuid NOT NULL CONSTRAINT payments_order_id_fkey REFERENCES orders (order_id),
    kind text NOT NULL,
    state text NOT NULL,
    amount bigint NOT NULL,
    currency text NOT NULL,
    provider text NOT NULL,
    provider_reference text NOT NULL DEFAULT '',
    parent_payment_id uuid CONSTRAINT payments_parent_payment_id_fkey REFERENCES payments (payment_id),
    -- "order", "shipment/<id>", "return/<refund id>", "cancellation/<id>", "manual/<request id>": one transaction per kind and cause.
    cause text NOT NULL,
    failure_code text NOT NULL DEFAULT '',
    actor text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT payments_kind_known CHECK (kind IN ('AUTHORIZATION', 'CAPTURE', 'VOID', 'REFUND')),
    CONSTRAINT payments_state_known CHECK (state IN ('INITIATED', 'PENDING', 'SUCCEEDED', 'FAILED', 'IN_DOUBT')),
    CONSTRAINT payments_amount_positive CHECK (amount > 0),
    CONSTRAINT payments_cause_key UNIQUE (order_id, kind, cause)
);

-- Outward effects: written before they are tried, settled before they are tried again.
CREATE TABLE effects (
    effect_id uuid CONSTRAINT effects_pkey PRIMARY KEY,
    kind text NOT NULL,
    idempotency_key text NOT NULL CONSTRAINT effects_idempotency_key_key UNIQUE,
    request_hash bytea NOT NULL,
    state text NOT NULL,
    provider text NOT NULL,
    provider_reference text NOT NULL DEFAULT '',
    failure_code text NOT NULL DEFAULT '',
    payment_id uuid NOT NULL CONSTRAINT effects_payment_id_fkey REFERENCES payments (payment_id),
    attempts integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT effects_state_known CHECK (state IN ('PLANNED', 'SENT', 'CONFIRMED', 'FAILED', 'IN_DOUBT'))
);
CREATE INDEX effects_open_idx ON effects (updated_at) WHERE state IN ('PLANNED', 'SENT', 'IN_DOUBT');

CREATE TABLE invoices (
    invoice_id uuid CONSTRAINT invoices_pkey PRIMARY KEY,
    -- Given after commit, without gaps, by one numbering task; empty until then.
    invoice_number text NOT NULL DEFAULT '',
    order_id uuid NOT NULL CONSTRAINT invoices_order_id_fkey REFERENCES orders (order_id),
    kind text NOT NULL,
    cause text NOT NULL,
    currency text NOT NULL,
    total bigint NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT invoices_kind_known CHECK (kind IN ('INVOICE', 'CREDIT_MEMO')),
    CONSTRAINT invoices_total_not_negative CHECK (total >= 0),
    CONSTRAINT invoices_cause_key UNIQUE (order_id, kind, cause)
);
CREATE UNIQUE INDEX invoices_number_key ON invoices (invoice_number) WHERE invoice_number <> '';

CREATE TABLE invoice_counter (
    kind text CONSTRAINT invoice_counter_pkey PRIMARY KEY,
    last_number bigint NOT NULL
);
INSERT INTO invoice_counter (kind, last_number) VALUES ('INVOICE', 0), ('CREDIT_MEMO', 0);

CREATE TABLE invoice_lines (
    invoice_id uuid NOT NULL CONSTRAINT invoice_lines_invoice_id_fkey REFERENCES invoices (invoice_id),
    line_number integer NOT NULL,
    order_line_id uuid CONSTRAINT invoice_lines_order_line_id_fkey REFERENCES order_lines (order_line_id),
    -- Units [from_unit, from_unit + quantity) of the order line; 0 and 0 for an amount without units.
    from_unit bigint NOT NULL,
    quantity bigint NOT NULL,
    net bigint NOT NULL,
    tax bigint NOT NULL,
    shipping bigint NOT NULL,
    total bigint NOT NULL,
    CONSTRAINT invoice_lines_pkey PRIMARY KEY (invoice_id, line_number),
    CONSTRAINT invoice_lines_range_valid CHECK (from_unit >= 0 AND quantity >= 0),
    CONSTRAINT invoice_lines_total_adds_up CHECK (total = net + tax + shipping)
);

-- The sandbox payment provider's own books. The order service writes here only as the provider.
CREATE TABLE sandbox_charges (
    idempotency_key text CONSTRAINT sandbox_charges_pkey PRIMARY KEY,
    kind text NOT NULL,
    reference text NOT NULL CONSTRAINT sandbox_charges_reference_key UNIQUE,
    parent_reference text NOT NULL DEFAULT '',
    -- What the customer pays with; decides what this provider answers.
    token text NOT NULL DEFAULT '',
    amount bigint NOT NULL,
    currency text NOT NULL,
    approved boolean NOT NULL,
    decline_code text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL,
    CONSTRAINT sandbox_charges_kind_known CHECK (kind IN ('AUTHORIZATION', 'CAPTURE', 'VOID', 'REFUND')),
    CONSTRAINT sandbox_charges_amount_positive CHECK (amount > 0)
);
-- Finds what was captured, voided or refunded of a charge.
CREATE INDEX sandbox_charges_parent_idx ON sandbox_charges (parent_reference) WHERE parent_reference <> '';
