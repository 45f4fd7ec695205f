-- The ledger of the sandbox payment provider: what the payments of order.sql asked for.
INSERT INTO charges (idempotency_key, kind, reference, amount, currency, approved, decline_code, created_at)
SELECT id, kind, 'sbx_' || id, amount, 'USD', code = '', code, now() - interval '2 hours'
FROM (VALUES ('{auth_a}', 'AUTHORIZATION', 2981, ''), ('{capture_a}', 'CAPTURE', 2981, ''),
    ('{refund_a}', 'REFUND', 993, ''), ('{auth_b}', 'AUTHORIZATION', 1000, ''),
    ('{auth_c}', 'AUTHORIZATION', 500, 'card_declined')) AS c (id, kind, amount, code);
