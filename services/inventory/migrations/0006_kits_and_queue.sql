-- Kits, the order in which demand waits for stock, and how much of it may wait.

-- What a kit is made of, one level deep: a component is never a kit. A kit has no stock of its own; who reserves one
-- reserves its components. Written under the lanes of the kit and of its components.
CREATE TABLE item_components (
    kit_sku text NOT NULL CONSTRAINT item_components_kit_sku_fkey REFERENCES items (sku),
    component_sku text NOT NULL CONSTRAINT item_components_component_sku_fkey REFERENCES items (sku),
    -- Units of the component in one kit.
    quantity bigint NOT NULL,
    CONSTRAINT item_components_pkey PRIMARY KEY (kit_sku, component_sku),
    CONSTRAINT item_components_not_itself CHECK (kit_sku <> component_sku),
    CONSTRAINT item_components_quantity_positive CHECK (quantity > 0)
);
-- Finds the kits that an item is part of.
CREATE INDEX item_components_component_idx ON item_components (component_sku);

ALTER TABLE sku_lane
    -- Version of the item that set its components; 0 when the SKU is no kit.
    ADD COLUMN kit_version bigint NOT NULL DEFAULT 0,
    -- Units that wait for stock: the sum of the reservation lines that are BACKORDERED.
    ADD COLUMN backordered bigint NOT NULL DEFAULT 0,
    -- Most units that Reserve lets wait; NULL for any number.
    ADD COLUMN backorder_max bigint,
    -- Units that wait beyond it, because it was lowered or because stock that had been promised was not there.
    ADD COLUMN backorder_excess bigint NOT NULL DEFAULT 0,
    -- From when the item is expected to be in stock; NULL when not known.
    ADD COLUMN available_from timestamptz,
    ADD CONSTRAINT sku_lane_kit_version_not_negative CHECK (kit_version >= 0),
    ADD CONSTRAINT sku_lane_backordered_not_negative CHECK (backordered >= 0),
    ADD CONSTRAINT sku_lane_backorder_max_not_negative CHECK (backorder_max >= 0),
    ADD CONSTRAINT sku_lane_backorder_excess_not_negative CHECK (backorder_excess >= 0),
    -- The last word: no defect above can promise more than the merchant allows.
    ADD CONSTRAINT sku_lane_backordered_within_max CHECK (backordered <= backorder_max + backorder_excess);
UPDATE sku_lane l SET backordered = w.units
FROM (SELECT sku, sum(quantity) AS units FROM reservation_line WHERE state = 'BACKORDERED' GROUP BY sku) w
WHERE w.sku = l.sku;

ALTER TABLE reservation
    -- Class of the demand: 0 is the most urgent, 9 the least.
    ADD COLUMN priority smallint NOT NULL DEFAULT 5,
    -- When the customer was promised the goods; NULL when no time was.
    ADD COLUMN promise_at timestamptz,
    -- All units come from one location, or all wait.
    ADD COLUMN ship_complete boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT reservation_priority_range CHECK (priority BETWEEN 0 AND 9);

-- The same on each line, so that an index can put them in order.
ALTER TABLE reservation_line
    ADD COLUMN priority smallint NOT NULL DEFAULT 5,
    ADD COLUMN promise_at timestamptz,
    ADD COLUMN ship_complete boolean NOT NULL DEFAULT false;

-- The line of a kit stands in several rows, one for each component.
ALTER TABLE reservation_line DROP CONSTRAINT reservation_line_pkey;
ALTER TABLE reservation_line ADD CONSTRAINT reservation_line_pkey
    PRIMARY KEY (reservation_id, order_line_id, sku, location_id, lot, state);

DROP INDEX reservation_line_backordered_idx;
-- Demand that waits for stock of a SKU and takes any part of it, the most urgent first.
CREATE INDEX reservation_line_waiting_idx
    ON reservation_line (sku, priority, promise_at, queued_at, reservation_id, order_line_id)
    WHERE state = 'BACKORDERED' AND NOT ship_complete;
-- Demand that waits until all of it can be had from one location.
CREATE INDEX reservation_line_waiting_complete_idx
    ON reservation_line (sku, priority, promise_at, queued_at, reservation_id, order_line_id)
    WHERE state = 'BACKORDERED' AND ship_complete;
