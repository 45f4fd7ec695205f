-- Order A is completed, with a unit returned; B is being picked, with a unit short, one backordered and one canceled;
-- C was declined; D waits for a hold to end.
INSERT INTO channels (channel_id, name, currency, number_prefix, payment_policy, tax_rate_ppm, tax_rounding,
    default_fill_policy, outlier_quantity, version)
VALUES ('shop', 'Shop', 'USD', 'S', 'AUTH_THEN_CAPTURE_ON_SHIP', 0, 'HALF_UP', 'FILL_ALL', 100, 1);

INSERT INTO orders (order_id, order_number, channel_id, state, state_reason, currency, ship_address_id, bill_address_id,
    country_code, postal_code, service_level, fill_policy, ship_complete, priority, payment_provider, payment_token,
    payment_policy, subtotal, discount, tax, shipping, total, version, timeline_sequence, placed_by, created_at, updated_at)
SELECT id::uuid, number, 'shop', state, reason, 'USD', gen_random_uuid(), gen_random_uuid(), 'US', '10001', 'GROUND',
    'FILL_ALL', false, 5, 'sandbox', 'tok_approve', 'AUTH_THEN_CAPTURE_ON_SHIP', subtotal, discount, tax, shipping,
    subtotal - discount + tax + shipping, 3, 3, 'user:test', now() - interval '2 hours', now() - interval '1 hour'
FROM (VALUES ('{order_a}', 'S1', 'COMPLETED', '', 3000, 100, 31, 50),
    ('{order_b}', 'S2', 'CONFIRMED', '', 1000, 0, 0, 0),
    ('{order_c}', 'S3', 'REJECTED', 'PAYMENT_DECLINED', 500, 0, 0, 0),
    ('{order_d}', 'S4', 'PENDING', '', 700, 0, 0, 0)) AS o (id, number, state, reason, subtotal, discount, tax, shipping);

INSERT INTO order_lines (order_line_id, order_id, line_number, sku, name, ordered, unit_price, price_per, subtotal,
    discount_total, tax, shipping, total, held, allocated, backordered, canceled, picked, packed, shipped, delivered,
    return_requested, returned, refunded)
VALUES ('{line_a}', '{order_a}', 1, 'chair', 'Chair', 3, 1000, 1, 3000, 100, 31, 50, 2981, 0, 0, 0, 0, 3, 3, 3, 3, 1, 1, 1),
    ('{line_b}', '{order_b}', 1, 'lamp', 'Lamp', 5, 200, 1, 1000, 0, 0, 0, 1000, 0, 2, 1, 1, 1, 0, 0, 0, 0, 0, 0),
    ('{line_c}', '{order_c}', 1, 'lamp', 'Lamp', 1, 500, 1, 500, 0, 0, 0, 500, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
    ('{line_d}', '{order_d}', 1, 'lamp', 'Lamp', 1, 700, 1, 700, 0, 0, 0, 700, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);

INSERT INTO timeline (order_id, sequence, occurred_at, actor, action)
SELECT order_id, number, created_at, 'user:test', 'did' FROM orders, generate_series(1, timeline_sequence) AS number;

INSERT INTO holds (hold_id, order_id, reason, blocks, state, placed_by, created_at)
VALUES (gen_random_uuid(), '{order_d}', 'MANUAL', ARRAY['CONFIRM'], 'ACTIVE', 'user:test', now() - interval '1 hour');

INSERT INTO sagas (order_id, step, state, next_run_at, expires_at, started_at, updated_at)
SELECT order_id, CASE state WHEN 'PENDING' THEN 'await_holds' ELSE 'release' END,
    CASE state WHEN 'PENDING' THEN 'WAITING' ELSE 'DONE' END,
    now() + interval '1 day', now() + interval '1 day', created_at, updated_at
FROM orders;

INSERT INTO reservations (reservation_id, order_id, cause, state, version)
VALUES ('{res_a}', '{order_a}', 'saga/1', 'CONSUMED', 3), ('{res_b}', '{order_b}', 'saga/1', 'ALLOCATED', 3),
    ('{res_c}', '{order_c}', 'saga/1', 'RELEASED', 2), ('{res_d}', '{order_d}', 'saga/1', 'HELD', 1);
INSERT INTO reservation_lines (reservation_id, order_line_id, location_id, state, quantity)
VALUES ('{res_a}', '{line_a}', 'west', 'CONSUMED', 3),
    ('{res_b}', '{line_b}', 'west', 'ALLOCATED', 2), ('{res_b}', '{line_b}', '', 'BACKORDERED', 1),
    ('{res_b}', '{line_b}', 'west', 'RELEASED', 2),
    ('{res_c}', '{line_c}', 'west', 'RELEASED', 1), ('{res_d}', '{line_d}', 'west', 'HELD', 1);
INSERT INTO fulfillment_orders (fulfillment_order_id, order_id, location_id, state)
VALUES ('{work_a}', '{order_a}', 'west', 'CLOSED'), ('{work_b}', '{order_b}', 'west', 'IN_PROGRESS');
INSERT INTO shipments (shipment_id, order_id, shipped_at, delivered_at)
VALUES ('{shipment_a}', '{order_a}', now() - interval '90 minutes', now() - interval '80 minutes');

INSERT INTO payments (payment_id, order_id, kind, state, amount, currency, provider, provider_reference,
    parent_payment_id, cause, failure_code, actor, created_at, updated_at)
SELECT id::uuid, order_id::uuid, kind, state, amount, 'USD', 'sandbox', CASE state WHEN 'FAILED' THEN '' ELSE 'sbx_' || id END,
    parent::uuid, cause, CASE state WHEN 'FAILED' THEN 'card_declined' ELSE '' END, 'service:order',
    now() - interval '2 hours', now() - interval '1 hour'
FROM (VALUES ('{auth_a}', '{order_a}', 'AUTHORIZATION', 'SUCCEEDED', 2981, NULL, 'order'),
    ('{capture_a}', '{order_a}', 'CAPTURE', 'SUCCEEDED', 2981, '{auth_a}', 'shipment/{shipment_a}'),
    ('{refund_a}', '{order_a}', 'REFUND', 'SUCCEEDED', 993, '{capture_a}', 'return/{refund_id_a}'),
    ('{auth_b}', '{order_b}', 'AUTHORIZATION', 'SUCCEEDED', 1000, NULL, 'order'),
    ('{auth_c}', '{order_c}', 'AUTHORIZATION', 'FAILED', 500, NULL, 'order'))
    AS p (id, order_id, kind, state, amount, parent, cause);
INSERT INTO effects (effect_id, kind, idempotency_key, request_hash, state, provider, provider_reference, payment_id,
    attempts, created_at, updated_at)
SELECT gen_random_uuid(), kind, payment_id::text, '', CASE state WHEN 'FAILED' THEN 'FAILED' ELSE 'CONFIRMED' END, provider,
    provider_reference, payment_id, 1, created_at, updated_at
FROM payments;

INSERT INTO collections (order_id, shipment_id, authorization_id, cause, amount, state, recorded_by, created_at, updated_at)
VALUES ('{order_a}', '{shipment_a}', '{auth_a}', 'shipment/{shipment_a}', 2981, 'COLLECTED', 'user:test', now() - interval '90 minutes',
    now() - interval '1 hour');

INSERT INTO credits (book, reference, currency, ceiling, authorized, used, net_days, version, created_at, updated_at)
VALUES ('store_credit', 'CARD-0001', 'USD', 500, 0, 0, 0, 1, now() - interval '2 hours', now() - interval '2 hours');
INSERT INTO credit_entries (entry_key, book, reference, kind, amount, actor, created_at)
VALUES ('issue', 'store_credit', 'CARD-0001', 'ISSUE', 500, 'user:test', now() - interval '2 hours');

INSERT INTO invoices (invoice_id, invoice_number, order_id, kind, cause, currency, total, created_at)
VALUES ('{invoice_a}', 'I1', '{order_a}', 'INVOICE', 'shipment/{shipment_a}', 'USD', 2981, now() - interval '1 hour'),
    ('{memo_a}', 'C1', '{order_a}', 'CREDIT_MEMO', 'return/{refund_id_a}', 'USD', 993, now() - interval '1 hour');
INSERT INTO invoice_lines (invoice_id, line_number, order_line_id, from_unit, quantity, net, tax, shipping, total)
VALUES ('{invoice_a}', 1, '{line_a}', 0, 3, 2900, 31, 50, 2981), ('{memo_a}', 1, '{line_a}', 0, 1, 967, 10, 16, 993);
UPDATE invoice_counter SET last_number = 1;

INSERT INTO feed (pos, event_id, aggregate_type, aggregate_id, aggregate_version, event_type, payload, actor, traceparent,
    occurred_at, relayed_at)
SELECT row_number() OVER (ORDER BY version, id), gen_random_uuid(), type, id, version, 'OrderUpdated', '', 'user:test', '',
    now() - interval '1 hour', now() - interval '1 hour'
FROM (SELECT 'order' AS type, order_id::text AS id, generate_series(1, version) AS version FROM orders
    UNION ALL SELECT 'channel', channel_id, generate_series(1, version) FROM channels) AS events;
UPDATE feed_head SET pos = (SELECT max(pos) FROM feed), epoch = '{epoch_order}';
INSERT INTO feed_cursors (consumer, source, epoch, pos)
VALUES ('order', 'inventory', '{epoch_inventory}', 18), ('order', 'fulfillment', '{epoch_fulfillment}', 4),
    ('order', 'shipping', '{epoch_shipping}', 7), ('order', 'returns', '{epoch_returns}', 3),
    ('webhooks', 'order', '{epoch_order}', (SELECT pos FROM feed_head));
INSERT INTO webhook_endpoints (endpoint_id, url, event_types, channel_ids, description, state, after_pos, version, created_by,
    created_at, updated_at)
VALUES (gen_random_uuid(), 'https://erp.example/hooks', ARRAY[]::text[], ARRAY[]::text[], '', 'ENABLED', 0, 1, 'user:test', now(), now());
INSERT INTO webhook_deliveries (delivery_id, endpoint_id, event_id, event_type, feed_pos, state, attempt, next_attempt_at, created_at,
    ended_at)
SELECT gen_random_uuid(), endpoint_id, event_id, event_type, pos, 'DELIVERED', 1, now(), now(), now()
FROM feed, webhook_endpoints WHERE pos = 1;
INSERT INTO webhook_attempts (delivery_id, attempt, started_at, status_code, latency_ms, error, response_excerpt)
SELECT delivery_id, 1, now(), 204, 12, '', '' FROM webhook_deliveries;
INSERT INTO data_keys (key_id, order_id, master_key_id, wrapped, created_at, erased_at)
VALUES ('{key_d}', '{order_d}', 'test', 'x', now(), NULL), ('{key_c}', '{order_c}', NULL, NULL, now(), now());
INSERT INTO addresses (address_id, order_id, key_id, sealed)
VALUES (gen_random_uuid(), '{order_d}', '{key_d}', 'x'), (gen_random_uuid(), '{order_c}', '{key_c}', 'x');
INSERT INTO idempotency (principal, method, request_id, request_hash, resource_id)
VALUES ('user:test', 'PlaceOrder', '{request_a}', sha256(''), '{order_a}');
INSERT INTO audit_pending (principal, method, object_id, content_hash, reason, request_id, traceparent)
VALUES ('user:test', 'PlaceOrder', '{order_a}', sha256(''), '', '{request_a}', '');
