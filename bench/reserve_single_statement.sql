-- The writes of reserve_classic.sql in one statement, which commits by itself: one round trip, and the lock on the SKU
-- is held for nothing but the writing and the commit. As fast as one commit per reservation can be.
--
-- Variables: as in reserve_classic.sql.
\set number random(1, :skus)
WITH lane AS (
    UPDATE sku_lane SET version = version + 1 WHERE sku = :prefix::text || :number::text
    RETURNING sku, version
), moved AS (
    -- Reads the lane, so that locks are taken in one order.
    UPDATE stock_level AS level SET available = level.available - 1, held = level.held + 1
    FROM lane
    WHERE level.sku = lane.sku AND level.location_id = :location AND level.lot = '' AND level.available >= 1
    RETURNING level.sku, level.location_id, lane.version, gen_random_uuid() AS reservation_id,
              gen_random_uuid() AS order_line_id
), made AS (
    INSERT INTO reservation (reservation_id, order_id, fingerprint, state, expires_at, shortages, version, actor,
                             created_at, updated_at)
    SELECT reservation_id, gen_random_uuid(), decode(repeat('5a', 32), 'hex'), 'HELD', now() + interval '15 minutes',
           NULL, 1, :actor, now(), now()
    FROM moved
), line AS (
    INSERT INTO reservation_line (reservation_id, order_line_id, location_id, lot, state, sku, quantity, queued_at)
    SELECT reservation_id, order_line_id, location_id, '', 'HELD', sku, 1, now()
    FROM moved
), entry AS (
    INSERT INTO stock_ledger (entry_type, sku, location_id, lot, from_account, to_account, quantity, cause, line,
                              reason, reference, actor, created_at)
    SELECT 'HOLD', sku, location_id, '', 'AVAILABLE', 'HELD', 1, 'reservation/' || reservation_id || '/1',
           order_line_id::text, '', '', :actor, now()
    FROM moved
), events AS (
    INSERT INTO outbox (event_id, aggregate_type, aggregate_id, aggregate_version, event_type, payload, actor,
                        occurred_at, traceparent)
    SELECT gen_random_uuid(), 'reservation', reservation_id::text, 1, 'ReservationChanged',
           convert_to(repeat('x', :reservation_changed_bytes::int), 'UTF8'), :actor, now(), ''
    FROM moved
    UNION ALL
    SELECT gen_random_uuid(), 'stock', sku, version, 'StockChanged',
           convert_to(repeat('x', :stock_changed_bytes::int), 'UTF8'), :actor, now(), ''
    FROM moved
)
INSERT INTO idempotency (principal, method, request_id, request_hash, resource_id)
SELECT :actor, 'Reserve', gen_random_uuid(), decode(repeat('5a', 32), 'hex'), reservation_id::text
FROM moved
ON CONFLICT (principal, method, request_id) DO NOTHING;
