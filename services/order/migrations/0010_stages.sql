-- By when what should be done with an order, and what it waits for. The index holds open orders only, so that finding
-- those at risk does not cost more as orders are closed.
ALTER TABLE orders
    ADD COLUMN authorize_by timestamptz,
    ADD COLUMN release_by timestamptz,
    ADD COLUMN pick_by timestamptz,
    ADD COLUMN ship_by timestamptz,
    -- What it waits for next; empty when nothing more is to be shipped.
    ADD COLUMN stage text NOT NULL DEFAULT '',
    ADD COLUMN stage_since timestamptz,
    -- The deadline of that stage.
    ADD COLUMN stage_due timestamptz,
    ADD CONSTRAINT orders_stage_known CHECK (stage IN ('', 'AUTHORIZE', 'RELEASE', 'PICK', 'SHIP')),
    ADD CONSTRAINT orders_stage_has_times CHECK ((stage = '') = (stage_due IS NULL) AND (stage = '') = (stage_since IS NULL));

-- Open orders that were placed before there were deadlines get those of a plain order.
UPDATE orders o SET
    authorize_by = created_at + interval '15 minutes',
    release_by = created_at + interval '1 hour',
    pick_by = created_at + interval '46 hours',
    ship_by = created_at + interval '48 hours',
    stage = s.stage,
    stage_since = updated_at,
    stage_due = created_at + CASE s.stage WHEN 'AUTHORIZE' THEN interval '15 minutes' WHEN 'RELEASE' THEN interval '1 hour'
        WHEN 'PICK' THEN interval '46 hours' ELSE interval '48 hours' END
FROM (SELECT order_id, CASE WHEN state = 'PENDING' THEN 'AUTHORIZE'
          WHEN NOT EXISTS (SELECT FROM fulfillment_orders f WHERE f.order_id = open.order_id) THEN 'RELEASE'
          WHEN EXISTS (SELECT FROM order_lines l WHERE l.order_id = open.order_id AND picked < ordered - canceled
              AND shipped < ordered - canceled) THEN 'PICK'
          ELSE 'SHIP' END AS stage
      FROM orders open
      WHERE state = 'PENDING' OR (state = 'CONFIRMED' AND EXISTS (SELECT FROM order_lines l
          WHERE l.order_id = open.order_id AND shipped < ordered - canceled))) AS s
WHERE s.order_id = o.order_id;

CREATE INDEX orders_stage_due_idx ON orders (stage_due, order_id) INCLUDE (stage, stage_since) WHERE stage <> '';
