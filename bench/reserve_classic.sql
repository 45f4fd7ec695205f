-- One classic transaction per reservation of one unit, as a careful programmer writes it without group commit: a
-- statement per step, the lock on the SKU held from the first look to the end of the commit. It writes row for row
-- what the inventory service writes for such a call by itself (services/inventory/src/store, crates/postgres/src):
--
--   idempotency       1 row    crates/postgres/src/idempotency.rs, record_all
--   sku_lane          1 update services/inventory/src/store/sql/write_board.sql, lanes
--   stock_level       1 update  .. moved
--   reservation       1 row     .. made
--   reservation_line  1 row     .. kept
--   stock_ledger      1 row     .. entries
--   outbox            2 rows   crates/postgres/src/outbox.rs: ReservationChanged and StockChanged
--
-- It does not move events on to the feed, which the service does meanwhile: that favours this script.
--
-- Variables: prefix and skus (SKUs are prefix || 1 .. skus), location, actor (text with a colon cannot stand in the
-- script, where colons begin variables), and the sizes of the two events in bytes as the service has sent them.
\set number random(1, :skus)
BEGIN;
INSERT INTO idempotency (principal, method, request_id, request_hash, resource_id)
    VALUES (:actor, 'Reserve', gen_random_uuid(), decode(repeat('5a', 32), 'hex'), gen_random_uuid()::text)
    ON CONFLICT (principal, method, request_id) DO NOTHING
    RETURNING resource_id AS reservation_id, gen_random_uuid() AS order_line_id \gset
SELECT fence, version + 1 AS version FROM sku_lane WHERE sku = :prefix::text || :number::text FOR UPDATE \gset
SELECT available, held, allocated, count_pending, quarantine, qc, damaged, refurb FROM stock_level
    WHERE sku = :prefix::text || :number::text AND location_id = :location \gset
UPDATE stock_level SET available = available - 1, held = held + 1
    WHERE sku = :prefix::text || :number::text AND location_id = :location AND lot = '';
UPDATE sku_lane SET version = version + 1 WHERE sku = :prefix::text || :number::text;
INSERT INTO reservation (reservation_id, order_id, fingerprint, state, expires_at, shortages, version, actor,
                         created_at, updated_at)
    VALUES (:reservation_id::uuid, gen_random_uuid(), decode(repeat('5a', 32), 'hex'), 'HELD',
            now() + interval '15 minutes', NULL, 1, :actor, now(), now());
INSERT INTO reservation_line (reservation_id, order_line_id, location_id, lot, state, sku, quantity, queued_at)
    VALUES (:reservation_id::uuid, :order_line_id::uuid, :location, '', 'HELD', :prefix::text || :number::text, 1,
            now());
INSERT INTO stock_ledger (entry_type, sku, location_id, lot, from_account, to_account, quantity, cause, line, reason,
                          reference, actor, created_at)
    VALUES ('HOLD', :prefix::text || :number::text, :location, '', 'AVAILABLE', 'HELD', 1,
            'reservation/' || :reservation_id::text || '/1', :order_line_id::text, '', '', :actor, now());
INSERT INTO outbox (event_id, aggregate_type, aggregate_id, aggregate_version, event_type, payload, actor, occurred_at,
                    traceparent)
    VALUES (gen_random_uuid(), 'reservation', :reservation_id::text, 1, 'ReservationChanged',
            convert_to(repeat('x', :reservation_changed_bytes::int), 'UTF8'), :actor, now(), ''),
           (gen_random_uuid(), 'stock', :prefix::text || :number::text, :version::bigint, 'StockChanged',
            convert_to(repeat('x', :stock_changed_bytes::int), 'UTF8'), :actor, now(), '');
COMMIT;
