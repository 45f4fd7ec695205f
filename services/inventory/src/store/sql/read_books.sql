-- What the three books say of SKUs at one moment: one statement sees one snapshot, in which every transaction of a
-- lane is there as a whole or not at all. Reads up to $3 entries of each SKU after the one given for it.
WITH want AS (
    SELECT w.sku, w.entry_id FROM unnest($1::text[], $2::bigint[]) AS w (sku, entry_id)
), fresh AS MATERIALIZED (
    SELECT l.entry_id, l.sku, l.location_id, l.lot, l.from_account, l.to_account, l.quantity
    FROM want w CROSS JOIN LATERAL (
        SELECT s.entry_id, s.sku, s.location_id, s.lot, s.from_account, s.to_account, s.quantity
        FROM stock_ledger s
        WHERE s.sku = w.sku AND s.entry_id > w.entry_id ORDER BY s.entry_id LIMIT $3
    ) AS l
), moved AS (
    SELECT sku, location_id, lot, to_account AS account, quantity AS units FROM fresh
    UNION ALL
    SELECT sku, location_id, lot, from_account, -quantity FROM fresh
)
SELECT 'READ' AS "book!", sku AS "sku!", '' AS "location_id!", '' AS "lot!", '' AS "account!", count(*) AS "units!",
       max(entry_id) AS "entry_id!"
FROM fresh GROUP BY sku
UNION ALL
SELECT 'LEDGER', sku, location_id, lot, account, sum(units)::bigint, 0
FROM moved GROUP BY sku, location_id, lot, account
UNION ALL
SELECT 'STORED', l.sku, l.location_id, l.lot, b.account, b.units, 0
FROM want w JOIN stock_level l ON l.sku = w.sku
CROSS JOIN LATERAL (
    VALUES ('AVAILABLE', l.available), ('HELD', l.held), ('ALLOCATED', l.allocated),
           ('COUNT_PENDING', l.count_pending), ('QUARANTINE', l.quarantine), ('QC', l.qc), ('DAMAGED', l.damaged),
           ('REFURB', l.refurb)
) AS b (account, units)
WHERE b.units <> 0
UNION ALL
SELECT 'RESERVED', r.sku, r.location_id, r.lot, r.state, r.units, 0
FROM want w CROSS JOIN LATERAL (
    -- SKU by SKU, however many others have open reservations.
    SELECT l.sku, l.location_id, l.lot, l.state, sum(l.quantity)::bigint AS units FROM reservation_line l
    WHERE l.sku = w.sku AND l.state IN ('HELD', 'ALLOCATED') GROUP BY l.sku, l.location_id, l.lot, l.state
) AS r
