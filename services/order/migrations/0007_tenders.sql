-- Orders that are paid by several tenders.

-- In the order in which money is taken from them: objects with provider, token and amount, which is null for the one
-- that takes the rest. Empty for an order with one that pays for everything: payment_provider and payment_token.
ALTER TABLE orders ADD COLUMN tenders jsonb NOT NULL DEFAULT '[]';

-- Number of the order's tender that a transaction is of, from 1.
ALTER TABLE payments ADD COLUMN tender integer NOT NULL DEFAULT 1;
ALTER TABLE payments ADD CONSTRAINT payments_tender_positive CHECK (tender > 0);
