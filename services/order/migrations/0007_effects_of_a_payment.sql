-- Settling a payment finds its effect; without this every settlement read the whole table.
CREATE INDEX effects_payment_idx ON effects (payment_id);
