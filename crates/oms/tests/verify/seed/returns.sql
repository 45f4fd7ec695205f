INSERT INTO returns (return_id, order_id, order_number, channel_id, state, refund_timing, location_id, origin_address_id,
    origin_country_code, origin_postal_code, shipment_id, currency, refunded, version, requested_by, created_at, updated_at)
VALUES ('{return_a}', '{order_a}', 'S1', 'shop', 'CLOSED', 'ON_INSPECTION', 'west', '', 'US', '10001', '{shipment_back}', 'USD',
    993, 3, 'user:test', now() - interval '2 hours', now() - interval '1 hour');
INSERT INTO return_lines (return_line_id, return_id, line_number, order_line_id, sku, name, reason, advised, received,
    inspected, restocked, refund_triggered, refund_paid)
VALUES ('{return_line_a}', '{return_a}', 1, '{line_a}', 'chair', 'Chair', 'UNWANTED', 1, 1, 1, 1, 1, 1);

INSERT INTO feed (pos, event_id, aggregate_type, aggregate_id, aggregate_version, event_type, payload, actor, traceparent,
    occurred_at, relayed_at)
SELECT row_number() OVER (ORDER BY version, id), gen_random_uuid(), 'return', id, version, 'Told', '', 'user:test', '',
    now() - interval '1 hour', now() - interval '1 hour'
FROM (SELECT return_id::text AS id, generate_series(1, version) AS version FROM returns) AS events;
UPDATE feed_head SET pos = (SELECT max(pos) FROM feed), epoch = '{epoch_returns}';
INSERT INTO feed_cursors (consumer, source, epoch, pos)
VALUES ('returns', 'order', '{epoch_order}', 13), ('returns', 'shipping', '{epoch_shipping}', 7);
