//! Stock: the levels, the ledger that explains them, and the reservations that hold them.

use super::invariant::{Database, Invariant, always};

const INVENTORY: &[Database] = &[Database::Inventory];

pub(super) const ALL: &[Invariant] = &[
    always(
        "stock.bucket_equals_ledger",
        "every bucket of a stock level is what the ledger moved in less what it moved out",
        INVENTORY,
        "stock_level",
        "WITH moved AS (
             SELECT sku, location_id, lot, to_account AS account, quantity FROM stock_ledger
             UNION ALL
             SELECT sku, location_id, lot, from_account, -quantity FROM stock_ledger
         ), booked AS (
             SELECT sku, location_id, lot, account, sum(quantity) AS units FROM moved
             WHERE account NOT IN ('SUPPLIER', 'CUSTOMER', 'VARIANCE', 'SCRAP', 'IN_TRANSIT')
             GROUP BY sku, location_id, lot, account
         ), stored AS (
             SELECT sku, location_id, lot, account, units FROM stock_level
             CROSS JOIN LATERAL (VALUES ('AVAILABLE', available), ('HELD', held), ('ALLOCATED', allocated),
                 ('COUNT_PENDING', count_pending), ('QUARANTINE', quarantine), ('QC', qc), ('DAMAGED', damaged),
                 ('REFURB', refurb)) AS bucket (account, units)
             WHERE units <> 0
         )
         SELECT concat_ws(' ', sku, location_id, nullif(lot, ''), account) || ': '
             || coalesce(stored.units, 0) || ' stored, ' || coalesce(booked.units, 0) || ' booked'
         FROM booked FULL JOIN stored USING (sku, location_id, lot, account)
         WHERE coalesce(booked.units, 0) <> coalesce(stored.units, 0)",
    ),
    always(
        "stock.held_equals_reservations",
        "the held bucket is the sum of the reservation lines that are HELD there",
        INVENTORY,
        "stock_level",
        "WITH reserved AS (
             SELECT sku, location_id, lot, sum(quantity) AS units FROM reservation_line
             WHERE state = 'HELD' GROUP BY sku, location_id, lot
         )
         SELECT concat_ws(' ', sku, location_id, nullif(lot, '')) || ': ' || coalesce(held, 0) || ' in the bucket, '
             || coalesce(units, 0) || ' reserved'
         FROM reserved FULL JOIN stock_level USING (sku, location_id, lot)
         WHERE coalesce(held, 0) <> coalesce(units, 0)",
    ),
    always(
        "stock.allocated_equals_reservations",
        "the allocated bucket is the sum of the reservation lines that are ALLOCATED there",
        INVENTORY,
        "stock_level",
        "WITH reserved AS (
             SELECT sku, location_id, lot, sum(quantity) AS units FROM reservation_line
             WHERE state = 'ALLOCATED' GROUP BY sku, location_id, lot
         )
         SELECT concat_ws(' ', sku, location_id, nullif(lot, '')) || ': ' || coalesce(allocated, 0)
             || ' in the bucket, ' || coalesce(units, 0) || ' reserved'
         FROM reserved FULL JOIN stock_level USING (sku, location_id, lot)
         WHERE coalesce(allocated, 0) <> coalesce(units, 0)",
    ),
    always(
        "stock.no_bucket_below_zero",
        "no bucket is below zero: nothing is sold that is not there",
        INVENTORY,
        "stock_level",
        "SELECT concat_ws(' ', sku, location_id, nullif(lot, '')) FROM stock_level
         WHERE least(available, held, allocated, count_pending, quarantine, qc, damaged, refurb) < 0",
    ),
    always(
        "stock.cause_booked_once",
        "a cause is booked once per type, line and place",
        INVENTORY,
        "stock_ledger",
        "SELECT concat_ws(' ', cause, entry_type, line, sku, location_id) || ': ' || count(*) || ' times'
         FROM stock_ledger
         GROUP BY cause, entry_type, line, sku, location_id, lot, from_account HAVING count(*) > 1",
    ),
    always(
        "stock.entries_follow_routes",
        "every ledger entry moves units between the two accounts that its type is for",
        INVENTORY,
        "stock_ledger",
        "SELECT 'entry ' || entry_id || ': ' || entry_type || ' from ' || from_account || ' to ' || to_account
         FROM stock_ledger
         WHERE quantity <= 0 OR (entry_type, from_account, to_account) NOT IN (
             ('RECEIVE', 'SUPPLIER', 'AVAILABLE'), ('HOLD', 'AVAILABLE', 'HELD'),
             ('HOLD_RELEASE', 'HELD', 'AVAILABLE'), ('HOLD_EXPIRE', 'HELD', 'AVAILABLE'),
             ('ALLOCATE', 'HELD', 'ALLOCATED'), ('ALLOCATE', 'AVAILABLE', 'ALLOCATED'),
             ('DEALLOCATE', 'ALLOCATED', 'AVAILABLE'), ('PICK_SHORT', 'ALLOCATED', 'COUNT_PENDING'),
             ('ISSUE', 'ALLOCATED', 'CUSTOMER'), ('RETURN_RECEIVE', 'CUSTOMER', 'QC'),
             ('RESTOCK', 'QC', 'AVAILABLE'), ('SCRAP', 'QC', 'SCRAP'), ('QUARANTINE_IN', 'QC', 'QUARANTINE'),
             ('QUARANTINE_IN', 'AVAILABLE', 'QUARANTINE'), ('ADJUST', 'VARIANCE', 'AVAILABLE'),
             ('ADJUST', 'AVAILABLE', 'VARIANCE'), ('COUNT_VARIANCE', 'VARIANCE', 'AVAILABLE'),
             ('COUNT_VARIANCE', 'AVAILABLE', 'VARIANCE'), ('TRANSFER_OUT', 'AVAILABLE', 'IN_TRANSIT'),
             ('TRANSFER_IN', 'IN_TRANSIT', 'AVAILABLE'), ('CORRECT', 'AVAILABLE', 'HELD'),
             ('CORRECT', 'AVAILABLE', 'ALLOCATED'), ('CORRECT', 'HELD', 'AVAILABLE'),
             ('CORRECT', 'ALLOCATED', 'AVAILABLE'))
           -- A correction may find units of any bucket, or miss them.
           AND NOT (entry_type = 'CORRECT' AND 'VARIANCE' IN (from_account, to_account)
                    AND NOT ARRAY[from_account, to_account] && ARRAY['SUPPLIER', 'CUSTOMER', 'SCRAP'])",
    ),
    always(
        "stock.conserved",
        "per SKU, what was received, adjusted, counted and returned is on hand, issued or scrapped",
        INVENTORY,
        "sku_lane",
        "WITH moved AS (
             SELECT sku,
                 sum(CASE WHEN entry_type IN ('RECEIVE', 'RETURN_RECEIVE') THEN quantity
                     WHEN entry_type IN ('ADJUST', 'COUNT_VARIANCE', 'CORRECT') AND from_account = 'VARIANCE' THEN quantity
                     WHEN entry_type IN ('ADJUST', 'COUNT_VARIANCE', 'CORRECT') AND to_account = 'VARIANCE' THEN -quantity
                     WHEN entry_type = 'TRANSFER_IN' THEN quantity WHEN entry_type = 'TRANSFER_OUT' THEN -quantity
                     WHEN entry_type IN ('ISSUE', 'SCRAP') THEN -quantity ELSE 0 END) AS units
             FROM stock_ledger GROUP BY sku
         ), on_hand AS (
             SELECT sku, sum(available + held + allocated + count_pending + quarantine + qc + damaged + refurb) AS units
             FROM stock_level GROUP BY sku
         )
         SELECT sku || ': ' || coalesce(on_hand.units, 0) || ' on hand, ' || coalesce(moved.units, 0) || ' left by the ledger'
         FROM moved FULL JOIN on_hand USING (sku)
         WHERE coalesce(moved.units, 0) <> coalesce(on_hand.units, 0)",
    ),
    always(
        "stock.consumed_equals_issued",
        "the CONSUMED units of a reservation are those that the ledger issued for it",
        INVENTORY,
        "reservation_line",
        "WITH issued AS (
             SELECT line, sku, location_id, lot, sum(quantity) AS units FROM stock_ledger
             WHERE entry_type = 'ISSUE' GROUP BY line, sku, location_id, lot
         ), consumed AS (
             SELECT reservation_id || '/' || order_line_id AS line, sku, location_id, lot, sum(quantity) AS units
             FROM reservation_line WHERE state = 'CONSUMED' GROUP BY 1, sku, location_id, lot
         )
         SELECT line || ': ' || coalesce(consumed.units, 0) || ' consumed, ' || coalesce(issued.units, 0) || ' issued'
         FROM issued FULL JOIN consumed USING (line, sku, location_id, lot)
         WHERE coalesce(issued.units, 0) <> coalesce(consumed.units, 0)",
    ),
    always(
        "stock.ended_reservations_hold_nothing",
        "a reservation that was released, expired or consumed has no line that is live",
        INVENTORY,
        "reservation",
        "SELECT 'reservation ' || r.reservation_id || ' is ' || r.state || ', ' || sum(l.quantity) || ' units are '
             || min(l.state)
         FROM reservation r JOIN reservation_line l USING (reservation_id)
         WHERE r.state IN ('RELEASED', 'EXPIRED', 'CONSUMED') AND l.state IN ('HELD', 'ALLOCATED', 'BACKORDERED')
         GROUP BY r.reservation_id, r.state",
    ),
    always(
        "stock.reservation_state_follows_lines",
        "the state of a reservation is the first of HELD, ALLOCATED, BACKORDERED, CONSUMED, EXPIRED that a line \
         of it is in, else RELEASED",
        INVENTORY,
        "reservation",
        "WITH whole AS (
             SELECT r.reservation_id, r.state, array_agg(l.state) AS lines
             FROM reservation r LEFT JOIN reservation_line l USING (reservation_id)
             GROUP BY r.reservation_id, r.state
         )
         SELECT 'reservation ' || reservation_id || ' is ' || state FROM whole
         WHERE state <> CASE WHEN 'HELD' = ANY (lines) THEN 'HELD' WHEN 'ALLOCATED' = ANY (lines) THEN 'ALLOCATED'
             WHEN 'BACKORDERED' = ANY (lines) THEN 'BACKORDERED' WHEN 'CONSUMED' = ANY (lines) THEN 'CONSUMED'
             WHEN 'EXPIRED' = ANY (lines) THEN 'EXPIRED' ELSE 'RELEASED' END
           -- What ended with live lines is told by stock.ended_reservations_hold_nothing.
           AND NOT (state IN ('RELEASED', 'EXPIRED', 'CONSUMED') AND lines && ARRAY['HELD', 'ALLOCATED', 'BACKORDERED'])",
    ),
    always(
        "stock.holds_expire",
        "no reservation lives on, unconfirmed, a minute after its time",
        INVENTORY,
        "reservation",
        "SELECT 'reservation ' || reservation_id || ' expired at ' || expires_at FROM reservation
         WHERE expires_at < now() - interval '60 seconds' AND state IN ('HELD', 'BACKORDERED')",
    ),
    always(
        "stock.backorders_have_no_place",
        "demand that waits for stock has no location; units that are held, allocated or consumed have one",
        INVENTORY,
        "reservation_line",
        "SELECT 'reservation ' || reservation_id || ': ' || state || ' at ' || quote_literal(location_id)
         FROM reservation_line
         WHERE (state = 'BACKORDERED' AND location_id <> '') OR (state IN ('HELD', 'ALLOCATED', 'CONSUMED') AND location_id = '')",
    ),
    always(
        "stock.lanes_count_backorders",
        "the lane of a SKU counts the units that wait for it",
        INVENTORY,
        "sku_lane",
        "WITH waiting AS (
             SELECT sku, sum(quantity) AS units FROM reservation_line WHERE state = 'BACKORDERED' GROUP BY sku
         )
         SELECT sku || ': ' || coalesce(backordered, 0) || ' counted, ' || coalesce(units, 0) || ' wait'
         FROM waiting FULL JOIN sku_lane USING (sku)
         WHERE coalesce(backordered, 0) <> coalesce(units, 0)",
    ),
    always(
        "stock.backorders_within_cap",
        "no more units of a SKU wait than it allows, but for those that waited when that was lowered and those that lost \
         stock which was not there",
        INVENTORY,
        "sku_lane",
        "SELECT l.sku || ': ' || sum(r.quantity) || ' wait, ' || l.backorder_max || ' may, '
             || l.backorder_excess || ' more are excused'
         FROM sku_lane l JOIN reservation_line r ON r.sku = l.sku AND r.state = 'BACKORDERED'
         GROUP BY l.sku HAVING sum(r.quantity) > l.backorder_max + l.backorder_excess",
    ),
    always(
        "stock.kits_are_made_of_items",
        "a kit has components, which are no kits, and no stock or reservations of its own",
        INVENTORY,
        "items",
        "SELECT 'kit ' || kit_sku || ' has the kit ' || component_sku FROM item_components c
         WHERE EXISTS (SELECT FROM item_components i WHERE i.kit_sku = c.component_sku)
         UNION ALL
         SELECT sku || ' is ' || CASE WHEN kit_version = 0 THEN 'no ' ELSE 'a ' END || 'kit for its lane'
         FROM sku_lane WHERE (kit_version > 0) <> EXISTS (SELECT FROM item_components WHERE kit_sku = sku)
         UNION ALL
         SELECT 'kit ' || sku || ' has stock or reservations' FROM sku_lane l
         WHERE kit_version > 0
           AND (EXISTS (SELECT FROM stock_level s WHERE s.sku = l.sku AND s.available + s.held + s.allocated
                    + s.count_pending + s.quarantine + s.qc + s.damaged + s.refurb > 0)
                OR EXISTS (SELECT FROM reservation_line r WHERE r.sku = l.sku
                           AND r.state IN ('HELD', 'ALLOCATED', 'BACKORDERED')))",
    ),
    always(
        "stock.every_stocked_sku_has_a_lane",
        "every SKU with stock or reservations has the lane row that its writers lock",
        INVENTORY,
        "sku_lane",
        "SELECT sku FROM (SELECT sku FROM stock_level UNION SELECT sku FROM reservation_line UNION SELECT sku FROM stock_ledger) AS used
         WHERE NOT EXISTS (SELECT FROM sku_lane WHERE sku_lane.sku = used.sku)",
    ),
    always(
        "stock.lanes_know_free_units",
        "the lane of a SKU holds the sum of the free units of its levels, from which policies reckon",
        INVENTORY,
        "sku_lane",
        "SELECT sku || ': ' || l.available || ' in the lane, ' || coalesce(s.units, 0) || ' free'
         FROM sku_lane l LEFT JOIN (SELECT sku, sum(available) AS units FROM stock_level GROUP BY sku) s USING (sku)
         WHERE l.available <> coalesce(s.units, 0)",
    ),
    always(
        "stock.lanes_know_policies",
        "the lane of a SKU knows whether a policy keeps something back or warns of something",
        INVENTORY,
        "sku_lane",
        "WITH kept AS (
             SELECT sku FROM stock_policy WHERE safety_stock > 0 OR low_stock_threshold > 0
             UNION SELECT sku FROM stock_policy_location UNION SELECT sku FROM stock_policy_channel
         )
         SELECT sku || CASE WHEN has_policy THEN ' has no policy' ELSE ' has a policy' END
         FROM sku_lane l WHERE has_policy <> EXISTS (SELECT FROM kept WHERE kept.sku = l.sku)",
    ),
];
