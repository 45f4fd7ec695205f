-- Refunds that the order service paid. Each counts once, however often its event is delivered.

CREATE TABLE return_refunds (
    -- Given by this service when it asked for the refund.
    refund_id uuid CONSTRAINT return_refunds_pkey PRIMARY KEY,
    return_id uuid NOT NULL CONSTRAINT return_refunds_return_id_fkey REFERENCES returns (return_id),
    -- In minor units of the return's currency.
    amount bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT return_refunds_amount_not_negative CHECK (amount >= 0)
);
-- Refunds of one return.
CREATE INDEX return_refunds_return_idx ON return_refunds (return_id);
