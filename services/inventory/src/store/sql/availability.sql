-- Everything that says how much of some SKUs may be promised, in one statement and so as of one moment. $2: locations
-- whose levels are asked for, NULL for all; those with rules of their own come besides, since the rules need them. $3:
-- whether demand that waits is counted.
-- What kits are made of comes with them.
WITH wanted AS MATERIALIZED (
    -- An array, so that every part below looks its SKUs up by index.
    SELECT ARRAY(
        SELECT s FROM unnest($1::text[]) AS s
        UNION SELECT component_sku FROM item_components WHERE kit_sku = ANY($1)
    ) AS skus
)
SELECT 'lane' AS "kind!", sku AS "sku!", '' AS "place!", '' AS "lot!", ARRAY[version, available] AS "units!",
       NULL::timestamptz AS expected_at
FROM sku_lane WHERE sku = ANY((SELECT skus FROM wanted)::text[])
UNION ALL
SELECT 'level', sku, location_id, lot,
       ARRAY[available, held, allocated, count_pending, quarantine, qc, damaged, refurb], NULL
FROM stock_level t
WHERE sku = ANY((SELECT skus FROM wanted)::text[])
  AND ($2::text[] IS NULL OR location_id = ANY($2)
       OR EXISTS (SELECT FROM stock_policy_location r WHERE r.sku = t.sku AND r.location_id = t.location_id))
UNION ALL
SELECT 'whole', sku, '', '', ARRAY[safety_stock, low_stock_threshold], NULL
FROM stock_policy WHERE sku = ANY((SELECT skus FROM wanted)::text[])
UNION ALL
SELECT 'location', sku, location_id, '', ARRAY[safety_stock, low_stock_threshold], NULL
FROM stock_policy_location WHERE sku = ANY((SELECT skus FROM wanted)::text[])
UNION ALL
SELECT 'channel', sku, channel_id, '', ARRAY[buffer, share_percent], NULL
FROM stock_policy_channel WHERE sku = ANY((SELECT skus FROM wanted)::text[])
UNION ALL
SELECT 'supply', sku, location_id, '', ARRAY[quantity - received], expected_at
FROM expected_receipt WHERE sku = ANY((SELECT skus FROM wanted)::text[]) AND NOT canceled AND received < quantity
UNION ALL
SELECT 'waiting', sku, '', '', ARRAY[sum(quantity)::bigint], NULL
FROM reservation_line WHERE state = 'BACKORDERED' AND sku = ANY((SELECT skus FROM wanted)::text[]) AND $3::boolean GROUP BY sku
UNION ALL
SELECT 'part', kit_sku, component_sku, '', ARRAY[quantity], NULL
FROM item_components WHERE kit_sku = ANY($1)
ORDER BY 2, 3, 4
