INSERT INTO pack_sessions (pack_session_id, fulfillment_order_id, order_id, event_id, created_at)
VALUES ('{session_a}', '{work_a}', '{order_a}', gen_random_uuid(), now() - interval '1 hour');
INSERT INTO pack_session_lines (pack_session_id, line_number, order_line_id, reservation_id, quantity)
VALUES ('{session_a}', 1, '{line_a}', '{res_a}', 3);
-- One to the customer, after an attempt that was voided, and one back.
INSERT INTO shipments (shipment_id, order_id, order_number, direction, fulfillment_order_id, pack_session_id, return_id,
    state, location_id, country_code, postal_code, service_level, label_attempt, version, created_by, created_at,
    updated_at, shipped_at, ship_confirmed)
VALUES ('{shipment_a}', '{order_a}', 'S1', 'OUTBOUND', '{work_a}', '{session_a}', NULL, 'DELIVERED', 'west', 'US', '10001',
        'GROUND', 2, 4, 'service:shipping', now() - interval '2 hours', now() - interval '1 hour', now() - interval '1 hour', true),
    ('{shipment_back}', '{order_a}', 'S1', 'RETURN', NULL, NULL, '{return_a}', 'DELIVERED', 'west', 'US', '10001',
        'GROUND', 1, 3, 'service:returns', now() - interval '2 hours', now() - interval '1 hour', now() - interval '1 hour', false);
INSERT INTO packages (package_id, shipment_id, package_number, mass_grams, length_mm, width_mm, height_mm, tracking_number,
    tracking_status, tracked_at)
VALUES ('{package_a}', '{shipment_a}', 1, 1, 1, 1, 1, 'T2', 'DELIVERED', now()),
    ('{package_back}', '{shipment_back}', 1, 1, 1, 1, 1, 'T3', 'DELIVERED', now());
INSERT INTO package_lines (package_id, line_number, order_line_id, sku, name, quantity, reservation_id, fulfillment_order_line_id)
VALUES ('{package_a}', 1, '{line_a}', 'chair', 'Chair', 3, '{res_a}', '{work_line_a}'),
    ('{package_back}', 1, '{line_a}', 'chair', 'Chair', 1, NULL, NULL);
INSERT INTO labels (label_id, shipment_id, attempt, state, carrier_id, carrier_service, cost, currency,
    expected_delivery_at, carrier_reference, actor, created_at, updated_at)
SELECT id::uuid, shipment::uuid, attempt, state, 'table_rate', 'ground', 500, 'USD', now(), reference, 'service:shipping',
    now() - interval '1 hour', now() - interval '1 hour'
FROM (VALUES ('{label_old}', '{shipment_a}', 1, 'VOIDED', 'B1'), ('{label_a}', '{shipment_a}', 2, 'PURCHASED', 'B2'),
    ('{label_back}', '{shipment_back}', 1, 'PURCHASED', 'B3')) AS l (id, shipment, attempt, state, reference);
INSERT INTO label_packages (label_id, package_id, carrier_id, tracking_number)
VALUES ('{label_old}', '{package_a}', 'table_rate', 'T1'), ('{label_a}', '{package_a}', 'table_rate', 'T2'),
    ('{label_back}', '{package_back}', 'table_rate', 'T3');
INSERT INTO effects (effect_id, kind, idempotency_key, request_hash, state, label_id, carrier_id, next_run_at, actor,
    created_at, updated_at)
SELECT gen_random_uuid(), kind, key, sha256(''), 'CONFIRMED', label::uuid, 'table_rate', now(), 'service:shipping',
    now() - interval '1 hour', now() - interval '1 hour'
FROM (VALUES ('BUY_LABEL', 'buy1', '{label_old}'), ('VOID_LABEL', 'void1', '{label_old}'), ('BUY_LABEL', 'buy2', '{label_a}'),
    ('BUY_LABEL', 'buy3', '{label_back}')) AS e (kind, key, label);
INSERT INTO table_rate_bookings (idempotency_key, reference, service, package_ids, tracking_numbers, price_cents,
    created_at, void_key, voided_at)
VALUES ('buy1', 'B1', 'ground', ARRAY['{package_a}']::uuid[], ARRAY['T1'], 500, now(), 'void1', now()),
    ('buy2', 'B2', 'ground', ARRAY['{package_a}']::uuid[], ARRAY['T2'], 500, now(), NULL, NULL),
    ('buy3', 'B3', 'ground', ARRAY['{package_back}']::uuid[], ARRAY['T3'], 500, now(), NULL, NULL);

INSERT INTO feed (pos, event_id, aggregate_type, aggregate_id, aggregate_version, event_type, payload, actor, traceparent,
    occurred_at, relayed_at)
SELECT row_number() OVER (ORDER BY version, id), gen_random_uuid(), 'shipment', id, version, 'Told', '', 'user:test', '',
    now() - interval '1 hour', now() - interval '1 hour'
FROM (SELECT shipment_id::text AS id, generate_series(1, version) AS version FROM shipments) AS events;
UPDATE feed_head SET pos = (SELECT max(pos) FROM feed), epoch = '{epoch_shipping}';
INSERT INTO feed_cursors (consumer, source, epoch, pos) VALUES ('shipping', 'fulfillment', '{epoch_fulfillment}', 4);
