INSERT INTO fulfillment_orders (fulfillment_order_id, order_id, order_number, channel_id, location_id, batch_id, state,
    floor_stage, address_id, country_code, postal_code, service_level, fill_policy, priority, instructions, version,
    event_sequence, created_by, created_at, updated_at)
SELECT id::uuid, order_id::uuid, 'S', 'shop', 'west', gen_random_uuid(), state, stage, gen_random_uuid(), 'US', '10001',
    'GROUND', 'FILL_ALL', 5, '', 1, 2, 'service:order', now() - interval '1 hour', now() - interval '1 hour'
FROM (VALUES ('{work_a}', '{order_a}', 'CLOSED', 'PACKED'), ('{work_b}', '{order_b}', 'IN_PROGRESS', 'PICKING'))
    AS f (id, order_id, state, stage);
-- Of B's four lamps one is picked, one is open, one was not found, one is canceled.
INSERT INTO fulfillment_order_lines (fulfillment_order_line_id, fulfillment_order_id, line_number, order_line_id, sku, lot,
    reservation_id, name, barcodes, mass_grams, length_mm, width_mm, height_mm, item_version, total, picked, packed,
    shipped, short, canceled)
VALUES ('{work_line_a}', '{work_a}', 1, '{line_a}', 'chair', '', '{res_a}', 'Chair', ARRAY[]::text[], 1, 1, 1, 1, 1, 3, 3, 3, 3, 0, 0),
    ('{work_line_b}', '{work_b}', 1, '{line_b}', 'lamp', '', '{res_b}', 'Lamp', ARRAY[]::text[], 1, 1, 1, 1, 1, 4, 1, 0, 0, 1, 1);
INSERT INTO waves (wave_id, location_id, method, released_by, created_at)
VALUES ('{wave}', 'west', 'SINGLE', 'user:test', now());
INSERT INTO pick_lists (pick_list_id, wave_id, location_id, state, version, created_at, updated_at)
VALUES ('{list_a}', '{wave}', 'west', 'COMPLETED', 1, now(), now()), ('{list_b}', '{wave}', 'west', 'IN_PROGRESS', 1, now(), now());
INSERT INTO pick_lines (pick_line_id, pick_list_id, line_number, fulfillment_order_id, fulfillment_order_line_id, quantity,
    picked, short, canceled, state, picked_by)
VALUES (gen_random_uuid(), '{list_a}', 1, '{work_a}', '{work_line_a}', 3, 3, 0, 0, 'PICKED', 'user:test'),
    (gen_random_uuid(), '{list_b}', 1, '{work_b}', '{work_line_b}', 3, 1, 1, 0, 'PENDING', 'user:test');
INSERT INTO shorts (short_id, fulfillment_order_id, fulfillment_order_line_id, order_id, sku, location_id, quantity, reason,
    state, reported_by, created_at)
VALUES (gen_random_uuid(), '{work_b}', '{work_line_b}', '{order_b}', 'lamp', 'west', 1, 'NOT_FOUND', 'PENDING', 'user:test', now());
INSERT INTO pack_sessions (pack_session_id, fulfillment_order_id, state, packed_by, version, created_at, updated_at)
VALUES ('{session_a}', '{work_a}', 'CLOSED', 'user:test', 1, now(), now());
INSERT INTO packages (package_id, pack_session_id, package_number, mass_grams, length_mm, width_mm, height_mm)
VALUES ('{package_a}', '{session_a}', 1, 1, 1, 1, 1);
INSERT INTO package_lines (package_id, fulfillment_order_line_id, quantity, packed_by)
VALUES ('{package_a}', '{work_line_a}', 3, 'user:test');
INSERT INTO counted_shipments (shipment_id, fulfillment_order_id, pack_session_id, event_id, counted_at)
VALUES ('{shipment_a}', '{work_a}', '{session_a}', gen_random_uuid(), now());

INSERT INTO feed (pos, event_id, aggregate_type, aggregate_id, aggregate_version, event_type, payload, actor, traceparent,
    occurred_at, relayed_at)
SELECT row_number() OVER (ORDER BY version, id), gen_random_uuid(), 'fulfillment_order', id, version, 'Told', '', 'user:test', '',
    now() - interval '1 hour', now() - interval '1 hour'
FROM (SELECT fulfillment_order_id::text AS id, generate_series(1, event_sequence) AS version FROM fulfillment_orders) AS events;
UPDATE feed_head SET pos = (SELECT max(pos) FROM feed), epoch = '{epoch_fulfillment}';
INSERT INTO feed_cursors (consumer, source, epoch, pos) VALUES ('fulfillment', 'shipping', '{epoch_shipping}', 7);
