INSERT INTO items (sku, name, length_mm, width_mm, height_mm, mass_grams, active, version, updated_at)
VALUES ('chair', 'Chair', 1, 1, 1, 1, true, 1, now()), ('lamp', 'Lamp', 1, 1, 1, 1, true, 1, now());
INSERT INTO locations (location_id, name, recipient, address_lines, locality, administrative_area, postal_code,
    country_code, phone, email, latitude, longitude, active, version, updated_at)
VALUES ('west', 'West', 'West', ARRAY['Street 1'], 'Reno', 'NV', '89501', 'US', '', '', 39.5, -119.8, true, 1, now());
-- A set of a chair and two lamps. Of the lamps one may wait.
INSERT INTO items (sku, name, length_mm, width_mm, height_mm, mass_grams, active, version, updated_at)
VALUES ('set', 'Set', 1, 1, 1, 1, true, 1, now());
INSERT INTO item_components (kit_sku, component_sku, quantity) VALUES ('set', 'chair', 1), ('set', 'lamp', 2);
INSERT INTO sku_lane (sku, version, available, kit_version, backordered, backorder_max)
VALUES ('chair', 2, 8, 0, 0, NULL), ('lamp', 2, 6, 0, 1, 1), ('set', 0, 0, 1, 0, NULL);

-- Ten of each came in. Three chairs left and one came back. Of the lamps one is held, two are allocated, one was not found.
INSERT INTO stock_level (sku, location_id, available, held, allocated, count_pending)
VALUES ('chair', 'west', 8, 0, 0, 0), ('lamp', 'west', 6, 1, 2, 1);
INSERT INTO stock_ledger (entry_type, sku, location_id, lot, from_account, to_account, quantity, cause, line, reason,
    reference, actor, created_at)
SELECT entry_type, sku, 'west', '', from_account, to_account, quantity, cause, line, '', '', 'user:test', now() - interval '1 hour'
FROM (VALUES ('RECEIVE', 'chair', 'SUPPLIER', 'AVAILABLE', 10, 'receipt/1', '0'),
    ('RECEIVE', 'lamp', 'SUPPLIER', 'AVAILABLE', 11, 'receipt/1', '1'),
    ('ADJUST', 'lamp', 'AVAILABLE', 'VARIANCE', 1, 'adjustment/1', ''),
    ('HOLD', 'chair', 'AVAILABLE', 'HELD', 3, 'reservation/{res_a}/1', '{line_a}'),
    ('ALLOCATE', 'chair', 'HELD', 'ALLOCATED', 3, 'reservation/{res_a}/2', '{line_a}'),
    ('ISSUE', 'chair', 'ALLOCATED', 'CUSTOMER', 3, 'shipment/{shipment_a}', '{res_a}/{line_a}'),
    ('RETURN_RECEIVE', 'chair', 'CUSTOMER', 'QC', 1, 'return/{return_a}/1', '{return_line_a}'),
    ('RESTOCK', 'chair', 'QC', 'AVAILABLE', 1, 'return/{return_a}/2', '{return_line_a}'),
    ('HOLD', 'lamp', 'AVAILABLE', 'HELD', 4, 'reservation/{res_b}/1', '{line_b}'),
    ('ALLOCATE', 'lamp', 'HELD', 'ALLOCATED', 4, 'reservation/{res_b}/2', '{line_b}'),
    ('DEALLOCATE', 'lamp', 'ALLOCATED', 'AVAILABLE', 1, 'reservation/{res_b}/3', '{line_b}'),
    ('PICK_SHORT', 'lamp', 'ALLOCATED', 'COUNT_PENDING', 1, 'reservation/{res_b}/3', '{line_b}'),
    ('HOLD', 'lamp', 'AVAILABLE', 'HELD', 1, 'reservation/{res_c}/1', '{line_c}'),
    ('HOLD_RELEASE', 'lamp', 'HELD', 'AVAILABLE', 1, 'reservation/{res_c}/2', '{line_c}'),
    ('HOLD', 'lamp', 'AVAILABLE', 'HELD', 1, 'reservation/{res_d}/1', '{line_d}'))
    AS e (entry_type, sku, from_account, to_account, quantity, cause, line);

INSERT INTO reservation (reservation_id, order_id, fingerprint, state, expires_at, version, actor, created_at, updated_at)
SELECT id::uuid, order_id::uuid, sha256(''), state, expires_at, version, 'service:order', now() - interval '1 hour',
    now() - interval '1 hour'
FROM (VALUES ('{res_a}', '{order_a}', 'CONSUMED', NULL::timestamptz, 3), ('{res_b}', '{order_b}', 'ALLOCATED', NULL, 3),
    ('{res_c}', '{order_c}', 'RELEASED', NULL, 2), ('{res_d}', '{order_d}', 'HELD', now() + interval '1 day', 1),
    -- Released before it was made.
    ('{res_tombstone}', '{order_c}', 'RELEASED', NULL, 1)) AS r (id, order_id, state, expires_at, version);
INSERT INTO reservation_line (reservation_id, order_line_id, location_id, lot, state, sku, quantity, queued_at)
SELECT id::uuid, line::uuid, location_id, '', state, sku, quantity, now() - interval '1 hour'
FROM (VALUES ('{res_a}', '{line_a}', 'west', 'CONSUMED', 'chair', 3),
    ('{res_b}', '{line_b}', 'west', 'ALLOCATED', 'lamp', 2), ('{res_b}', '{line_b}', '', 'BACKORDERED', 'lamp', 1),
    ('{res_b}', '{line_b}', 'west', 'RELEASED', 'lamp', 2),
    ('{res_c}', '{line_c}', 'west', 'RELEASED', 'lamp', 1), ('{res_d}', '{line_d}', 'west', 'HELD', 'lamp', 1))
    AS l (id, line, location_id, state, sku, quantity);

INSERT INTO feed (pos, event_id, aggregate_type, aggregate_id, aggregate_version, event_type, payload, actor, traceparent,
    occurred_at, relayed_at)
SELECT row_number() OVER (ORDER BY version, id), gen_random_uuid(), type, id, version, 'Told', '', 'user:test', '',
    now() - interval '1 hour', now() - interval '1 hour'
FROM (SELECT 'reservation' AS type, reservation_id::text AS id, generate_series(1, version) AS version FROM reservation
    UNION ALL SELECT 'stock', sku, generate_series(1, version) FROM sku_lane
    UNION ALL SELECT 'item', sku, generate_series(1, version) FROM items
    UNION ALL SELECT 'location', location_id, generate_series(1, version) FROM locations) AS events;
UPDATE feed_head SET pos = (SELECT max(pos) FROM feed), epoch = '{epoch_inventory}';
INSERT INTO feed_cursors (consumer, source, epoch, pos)
VALUES ('inventory', 'shipping', '{epoch_shipping}', 7), ('inventory', 'returns', '{epoch_returns}', 3);
