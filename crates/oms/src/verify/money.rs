//! Money: what an order costs, what was authorized, captured and refunded, and the provider's own books.

use super::invariant::{Database, Invariant, always, settled};

const ORDER: &[Database] = &[Database::Order];

pub(super) const ALL: &[Invariant] = &[
    always(
        "money.authorized_covers_captured",
        "per order, what was authorized covers what was captured and given up",
        ORDER,
        "orders",
        "SELECT 'order ' || order_id || ': ' || authorized || ' authorized, ' || taken || ' captured or voided'
         FROM (SELECT order_id,
                 coalesce(sum(amount) FILTER (WHERE kind = 'AUTHORIZATION'), 0) AS authorized,
                 coalesce(sum(amount) FILTER (WHERE kind IN ('CAPTURE', 'VOID')), 0) AS taken
             FROM payments WHERE state = 'SUCCEEDED' GROUP BY order_id) AS sums
         WHERE taken > authorized",
    ),
    always(
        "money.captured_covers_refunded",
        "per order, no more was refunded than captured",
        ORDER,
        "orders",
        "SELECT 'order ' || order_id || ': ' || captured || ' captured, ' || refunded || ' refunded'
         FROM (SELECT order_id,
                 coalesce(sum(amount) FILTER (WHERE kind = 'CAPTURE'), 0) AS captured,
                 coalesce(sum(amount) FILTER (WHERE kind = 'REFUND'), 0) AS refunded
             FROM payments WHERE state = 'SUCCEEDED' GROUP BY order_id) AS sums
         WHERE refunded > captured",
    ),
    always(
        "money.payments_have_parents",
        "a capture or void belongs to an authorization and a refund to a capture of its order, and what belongs to \
         one of them does not exceed it",
        ORDER,
        "payments",
        "WITH used AS (
             SELECT parent_payment_id, sum(amount) AS amount FROM payments
             WHERE state = 'SUCCEEDED' AND parent_payment_id IS NOT NULL GROUP BY parent_payment_id
         )
         SELECT 'payment ' || child.payment_id || ' (' || child.kind || ') has no parent that it fits'
         FROM payments child
         LEFT JOIN payments parent ON parent.payment_id = child.parent_payment_id
             AND parent.order_id = child.order_id AND parent.state = 'SUCCEEDED' AND parent.currency = child.currency
             AND parent.kind = CASE child.kind WHEN 'REFUND' THEN 'CAPTURE' ELSE 'AUTHORIZATION' END
         WHERE child.state = 'SUCCEEDED' AND child.kind <> 'AUTHORIZATION' AND parent.payment_id IS NULL
         UNION ALL
         SELECT 'payment ' || payment_id || ': ' || used.amount || ' used of ' || payments.amount
         FROM payments JOIN used ON used.parent_payment_id = payment_id WHERE used.amount > payments.amount",
    ),
    always(
        "money.captured_in_time",
        "nothing is captured of an authorization that had ended when the capture was begun",
        ORDER,
        "payments",
        "SELECT 'payment ' || child.payment_id || ' of ' || child.created_at || ', its authorization ended ' || parent.expires_at
         FROM payments child JOIN payments parent ON parent.payment_id = child.parent_payment_id
         WHERE child.kind = 'CAPTURE' AND child.state = 'SUCCEEDED' AND child.created_at >= parent.expires_at",
    ),
    settled(
        "money.uncaptured_is_authorized",
        "what a confirmed order that pays per shipment still has to capture is set aside by authorizations that have not \
         ended, or a hold says that its payment was declined",
        ORDER,
        "orders",
        "SELECT 'order ' || o.order_id || ': ' || owed - captured || ' to capture, ' || open || ' authorized', o.order_id
         FROM orders o
         CROSS JOIN LATERAL (SELECT coalesce(sum(
                 div(subtotal::numeric * live, ordered) - div(discount_total::numeric * live, ordered)
                 + div(tax::numeric * live, ordered) + div(shipping::numeric * live, ordered)), 0) AS owed
             FROM (SELECT *, ordered - canceled AS live FROM order_lines l WHERE l.order_id = o.order_id) AS lines) AS lines
         CROSS JOIN LATERAL (SELECT coalesce(sum(amount), 0) AS captured FROM payments
             WHERE order_id = o.order_id AND kind = 'CAPTURE' AND state = 'SUCCEEDED') AS captures
         CROSS JOIN LATERAL (SELECT coalesce(sum(a.amount - (SELECT coalesce(sum(amount), 0) FROM payments child
                 WHERE child.parent_payment_id = a.payment_id AND child.state = 'SUCCEEDED')), 0) AS open
             FROM payments a WHERE a.order_id = o.order_id AND a.kind = 'AUTHORIZATION' AND a.state = 'SUCCEEDED'
                 AND (a.expires_at IS NULL OR a.expires_at > now())) AS authorizations
         WHERE o.state = 'CONFIRMED' AND o.payment_policy = 'AUTH_THEN_CAPTURE_ON_SHIP' AND open < owed - captured
             AND NOT EXISTS (SELECT FROM holds h WHERE h.order_id = o.order_id AND h.state = 'ACTIVE'
                 AND h.reason IN ('AWAITING_PAYMENT', 'CAPTURE_FAILED'))",
    ),
    always(
        "money.one_payment_per_cause",
        "a shipment is captured once per tender, and every other cause of a payment succeeds once: what was tried again \
         after a refusal counts as the same cause",
        ORDER,
        "payments",
        "SELECT 'order ' || order_id || ': ' || kind || ' for ' || split_part(cause, '#', 1) || ' ' || count(*) || ' times'
         FROM payments WHERE state = 'SUCCEEDED'
         GROUP BY order_id, kind, split_part(cause, '#', 1) HAVING count(*) > 1
         UNION ALL
         SELECT 'order ' || order_id || ': tender ' || tender || ' captured for ' || shipment || ' ' || count(*) || ' times'
         FROM (SELECT *, 'shipment/' || split_part(split_part(cause, '#', 1), '/', 2) AS shipment FROM payments) AS p
         WHERE kind = 'CAPTURE' AND state = 'SUCCEEDED' AND cause LIKE 'shipment/%'
         GROUP BY order_id, tender, shipment HAVING count(*) > 1",
    ),
    always(
        "money.tenders_within_their_amount",
        "no more is captured from a tender than it is for, and every payment goes over the provider of its tender",
        ORDER,
        "payments",
        "WITH tenders AS (
             SELECT order_id, coalesce(t.number, 1) AS tender, coalesce(t.tender ->> 'provider', payment_provider) AS provider,
                 (t.tender ->> 'amount')::bigint AS most
             FROM orders LEFT JOIN LATERAL jsonb_array_elements(tenders) WITH ORDINALITY AS t (tender, number) ON true
         )
         SELECT 'order ' || p.order_id || ', tender ' || p.tender || ': ' || sum(p.amount) || ' captured of ' || t.most
         FROM payments p JOIN tenders t USING (order_id, tender)
         WHERE p.kind = 'CAPTURE' AND p.state = 'SUCCEEDED'
         GROUP BY p.order_id, p.tender, t.most HAVING sum(p.amount) > t.most
         UNION ALL
         SELECT 'payment ' || p.payment_id || ' of tender ' || p.tender || ' goes over ' || p.provider
         FROM payments p LEFT JOIN tenders t USING (order_id, tender) WHERE t.provider IS DISTINCT FROM p.provider",
    ),
    always(
        "money.credits_equal_entries",
        "what is authorized and used of an account on terms or a store credit is the sum of its entries, and an issued \
         store credit is worth what was issued",
        ORDER,
        "credits",
        "SELECT book || ' ' || reference || ': ' || c.authorized || ' authorized, ' || c.used || ' used'
         FROM credits c LEFT JOIN credit_entries e USING (book, reference)
         GROUP BY book, reference
         HAVING c.authorized <> coalesce(sum(amount) FILTER (WHERE kind = 'AUTHORIZATION'), 0)
                 - coalesce(sum(amount) FILTER (WHERE kind IN ('CAPTURE', 'VOID')), 0)
             OR c.used <> coalesce(sum(amount) FILTER (WHERE kind = 'CAPTURE'), 0)
                 - coalesce(sum(amount) FILTER (WHERE kind IN ('REFUND', 'PAYMENT')), 0)
             OR book = 'store_credit' AND c.ceiling <> coalesce(sum(amount) FILTER (WHERE kind = 'ISSUE'), 0)",
    ),
    always(
        "money.credits_equal_payments",
        "every payment on terms or with a store credit that succeeded stands in its book once, and nothing stands there \
         for an order that is no payment of ours",
        ORDER,
        "credit_entries",
        "SELECT 'payment ' || p.payment_id || ' is not booked'
         FROM payments p LEFT JOIN credit_entries e ON e.entry_key = p.payment_id::text
             AND (e.book, e.kind, e.amount) = (p.provider, p.kind, p.amount)
         WHERE p.provider IN ('terms', 'store_credit') AND p.state = 'SUCCEEDED' AND e.entry_key IS NULL
         UNION ALL
         SELECT 'entry ' || e.entry_key || ' has no payment'
         FROM credit_entries e LEFT JOIN payments p ON p.payment_id::text = e.entry_key
             AND (e.book, e.kind, e.amount) = (p.provider, p.kind, p.amount) AND p.state <> 'FAILED'
         WHERE e.kind NOT IN ('ISSUE', 'PAYMENT') AND p.payment_id IS NULL",
    ),
    always(
        "money.collected_is_captured",
        "what a carrier collected at the door has its capture, and nothing else that was to be collected has",
        ORDER,
        "collections",
        "SELECT 'shipment ' || c.shipment_id || ': ' || c.amount || ' ' || c.state || ', capture ' || coalesce(p.amount::text, 'none')
         FROM collections c LEFT JOIN payments p ON p.order_id = c.order_id AND p.kind = 'CAPTURE'
             AND p.cause = c.cause AND p.amount = c.amount
         WHERE (c.state = 'COLLECTED') <> (p.payment_id IS NOT NULL)",
    ),
    always(
        "money.one_currency_per_order",
        "payments and invoices are in the currency of their order",
        ORDER,
        "orders",
        "SELECT 'order ' || o.order_id || ' in ' || o.currency || ': ' || m.what || ' in ' || m.currency
         FROM orders o JOIN (
             SELECT order_id, currency, 'payment ' || payment_id AS what FROM payments
             UNION ALL SELECT order_id, currency, 'invoice ' || invoice_id FROM invoices) AS m USING (order_id)
         WHERE m.currency <> o.currency",
    ),
    always(
        "money.totals_are_their_parts",
        "the total of an order, and of each line, is goods less discount plus tax plus shipping",
        ORDER,
        "order_lines",
        "SELECT 'order ' || order_id FROM orders WHERE total <> subtotal - discount + tax + shipping
         UNION ALL
         SELECT 'order line ' || order_line_id FROM order_lines
         WHERE total <> subtotal - discount_total + tax + shipping",
    ),
    always(
        "money.order_is_its_lines",
        "every amount of an order is the sum of its lines",
        ORDER,
        "orders",
        "SELECT 'order ' || o.order_id || ': total ' || o.total || ', lines ' || coalesce(sum(l.total), 0)
         FROM orders o LEFT JOIN order_lines l USING (order_id)
         GROUP BY o.order_id
         HAVING (o.subtotal, o.discount, o.tax, o.shipping, o.total) IS DISTINCT FROM
             (sum(l.subtotal), sum(l.discount_total), sum(l.tax), sum(l.shipping), sum(l.total))",
    ),
    always(
        "money.invoice_is_its_lines",
        "the total of an invoice or credit memo is the sum of its lines, and theirs of their parts",
        ORDER,
        "invoices",
        "SELECT 'invoice ' || i.invoice_id || ': ' || i.total || ', lines ' || coalesce(sum(l.total), 0)
         FROM invoices i LEFT JOIN invoice_lines l USING (invoice_id)
         GROUP BY i.invoice_id
         HAVING i.total <> coalesce(sum(l.total), 0) OR coalesce(bool_or(l.total <> l.net + l.tax + l.shipping), false)",
    ),
    always(
        "money.invoices_tile_their_line",
        "the unit ranges of an order line's invoices begin at 0, follow each other without overlap or gap, and lie \
         within the shipped units",
        ORDER,
        "invoice_lines",
        "WITH parts AS (
             SELECT l.order_line_id, l.from_unit, l.from_unit + l.quantity AS to_unit, l.invoice_id,
                 coalesce(lag(l.from_unit + l.quantity) OVER (PARTITION BY l.order_line_id ORDER BY l.from_unit, l.quantity), 0) AS expected
             FROM invoice_lines l JOIN invoices i USING (invoice_id)
             WHERE i.kind = 'INVOICE' AND l.quantity > 0
         )
         SELECT 'order line ' || p.order_line_id || ': units [' || p.from_unit || ', ' || p.to_unit || ') of invoice '
             || p.invoice_id || ', expected from ' || p.expected || ', shipped ' || o.shipped
         FROM parts p JOIN order_lines o USING (order_line_id)
         WHERE p.from_unit <> p.expected OR p.to_unit > o.shipped",
    ),
    always(
        "money.credit_memos_tile_their_line",
        "the unit ranges that credit memos give back of an order line begin at 0, follow each other without overlap \
         or gap, and lie within the shipped units",
        ORDER,
        "invoice_lines",
        "WITH parts AS (
             SELECT l.order_line_id, l.from_unit, l.from_unit + l.quantity AS to_unit, l.invoice_id,
                 coalesce(lag(l.from_unit + l.quantity) OVER (PARTITION BY l.order_line_id ORDER BY l.from_unit, l.quantity), 0) AS expected
             FROM invoice_lines l JOIN invoices i USING (invoice_id)
             WHERE i.kind = 'CREDIT_MEMO' AND l.quantity > 0
         )
         SELECT 'order line ' || p.order_line_id || ': units [' || p.from_unit || ', ' || p.to_unit || ') of credit memo '
             || p.invoice_id || ', expected from ' || p.expected || ', shipped ' || o.shipped
         FROM parts p JOIN order_lines o USING (order_line_id)
         WHERE p.from_unit <> p.expected OR p.to_unit > o.shipped",
    ),
    settled(
        "money.credited_equals_refunded",
        "the units of an order line that were refunded for returns are those that its credit memos give back",
        ORDER,
        "order_lines",
        "WITH credited AS (
             SELECT order_line_id, sum(quantity) AS units FROM invoice_lines JOIN invoices USING (invoice_id)
             WHERE kind = 'CREDIT_MEMO' GROUP BY order_line_id
         )
         SELECT 'order line ' || order_line_id || ': ' || refunded || ' refunded, ' || coalesce(units, 0) || ' credited', order_id
         FROM order_lines LEFT JOIN credited USING (order_line_id) WHERE refunded <> coalesce(units, 0)",
    ),
    always(
        "money.invoice_lines_cost_their_units",
        "units [a, b) of an amount T over Q units cost floor(T*b/Q) - floor(T*a/Q), on every invoice and credit memo",
        ORDER,
        "invoice_lines",
        "SELECT 'invoice ' || i.invoice_id || ' line ' || i.line_number || ' costs ' || i.total
         FROM (SELECT *, from_unit + quantity AS to_unit FROM invoice_lines WHERE quantity > 0) AS i
         JOIN order_lines l USING (order_line_id)
         WHERE (i.net, i.tax, i.shipping) IS DISTINCT FROM (
             div(l.subtotal::numeric * to_unit, ordered) - div(l.subtotal::numeric * from_unit, ordered)
                 - div(l.discount_total::numeric * to_unit, ordered) + div(l.discount_total::numeric * from_unit, ordered),
             div(l.tax::numeric * to_unit, ordered) - div(l.tax::numeric * from_unit, ordered),
             div(l.shipping::numeric * to_unit, ordered) - div(l.shipping::numeric * from_unit, ordered))",
    ),
    always(
        "money.invoice_numbers_have_no_gap",
        "invoice numbers, once given, are as many as the counter says",
        ORDER,
        "invoices",
        "SELECT c.kind || ': counter at ' || c.last_number || ', ' || count(i.invoice_id) || ' numbers'
         FROM invoice_counter c LEFT JOIN invoices i ON i.kind = c.kind AND i.invoice_number <> ''
         GROUP BY c.kind, c.last_number
         HAVING c.last_number <> count(i.invoice_id) OR count(i.invoice_id) <> count(DISTINCT i.invoice_number)",
    ),
    settled(
        "money.lost_orders_owe_nothing",
        "an order that was canceled, rejected or expired has given back what it captured",
        ORDER,
        "orders",
        "SELECT 'order ' || order_id || ' is ' || state || ' and keeps ' || kept, order_id
         FROM (SELECT o.order_id, o.state,
                 sum(CASE p.kind WHEN 'CAPTURE' THEN p.amount WHEN 'REFUND' THEN -p.amount ELSE 0 END) AS kept
             FROM orders o JOIN payments p ON p.order_id = o.order_id AND p.state = 'SUCCEEDED'
             WHERE o.state IN ('CANCELED', 'REJECTED', 'EXPIRED') GROUP BY o.order_id) AS sums
         WHERE kept <> 0",
    ),
    settled(
        "money.final_orders_authorize_nothing",
        "an order that has ended has no open authorization",
        ORDER,
        "orders",
        "SELECT 'order ' || order_id || ' is ' || state || ' with ' || open || ' authorized', order_id
         FROM (SELECT o.order_id, o.state,
                 sum(CASE p.kind WHEN 'AUTHORIZATION' THEN p.amount WHEN 'REFUND' THEN 0 ELSE -p.amount END) AS open
             FROM orders o JOIN payments p ON p.order_id = o.order_id AND p.state = 'SUCCEEDED'
             WHERE o.state IN ('COMPLETED', 'CANCELED', 'REJECTED', 'EXPIRED') GROUP BY o.order_id) AS sums
         WHERE open > 0",
    ),
    settled(
        "money.completed_orders_captured_their_invoices",
        "a completed order that pays per shipment has captured the sum of its invoices, but for those whose capture \
         was declined",
        ORDER,
        "orders",
        "SELECT 'order ' || o.order_id || ': ' || captured || ' captured, ' || invoiced || ' invoiced', o.order_id
         FROM orders o
         CROSS JOIN LATERAL (SELECT coalesce(sum(amount), 0) AS captured FROM payments
             WHERE order_id = o.order_id AND kind = 'CAPTURE' AND state = 'SUCCEEDED') AS p
         CROSS JOIN LATERAL (SELECT coalesce(sum(total), 0) AS invoiced FROM invoices
             WHERE order_id = o.order_id AND kind = 'INVOICE') AS i
         WHERE o.state = 'COMPLETED' AND o.payment_policy = 'AUTH_THEN_CAPTURE_ON_SHIP' AND captured <> invoiced
             AND NOT EXISTS (SELECT FROM payments f WHERE f.order_id = o.order_id AND f.kind = 'CAPTURE' AND f.state = 'FAILED'
                 AND NOT EXISTS (SELECT FROM payments s WHERE s.order_id = o.order_id AND s.kind = 'CAPTURE'
                     AND s.state = 'SUCCEEDED' AND split_part(s.cause, '#', 1) = split_part(f.cause, '#', 1)))",
    ),
    settled(
        "money.returned_is_paid_back",
        "an order that pays per shipment and has credit memos keeps no more than its invoices less those",
        ORDER,
        "orders",
        "SELECT 'order ' || order_id || ' keeps ' || kept || ', ' || due || ' invoiced and not credited', order_id
         FROM (SELECT o.order_id,
                 (SELECT coalesce(sum(CASE kind WHEN 'CAPTURE' THEN amount WHEN 'REFUND' THEN -amount ELSE 0 END), 0)
                     FROM payments p WHERE p.order_id = o.order_id AND p.state = 'SUCCEEDED') AS kept,
                 (SELECT sum(CASE kind WHEN 'INVOICE' THEN total ELSE -total END)
                     FROM invoices i WHERE i.order_id = o.order_id) AS due
             FROM orders o WHERE o.payment_policy = 'AUTH_THEN_CAPTURE_ON_SHIP'
                 AND EXISTS (SELECT FROM invoices m WHERE m.order_id = o.order_id AND m.kind = 'CREDIT_MEMO')) AS sums
         WHERE kept > greatest(due, 0)",
    ),
    settled(
        "money.capture_equals_invoice",
        "what is captured for a shipment, from all tenders, or to be collected with it, is the total of its invoice, and \
         every invoice of an order that pays per shipment has its capture",
        ORDER,
        "payments",
        "WITH parts AS (
             SELECT order_id, split_part(cause, '#', 1) AS cause,
                 min(amount) AS least, max(amount) AS most
             FROM payments WHERE kind = 'CAPTURE' AND cause LIKE 'shipment/%' GROUP BY 1, 2
             UNION ALL
             SELECT order_id, cause, amount, amount FROM collections WHERE state <> 'COLLECTED'
         ), captures AS (
             SELECT order_id, 'shipment/' || split_part(cause, '/', 2) AS cause, sum(least) AS least, sum(most) AS most
             FROM parts GROUP BY 1, 2
         ), invoiced AS (
             SELECT i.order_id, i.cause, i.total FROM invoices i JOIN orders o USING (order_id)
             WHERE i.kind = 'INVOICE' AND i.total > 0 AND o.payment_policy = 'AUTH_THEN_CAPTURE_ON_SHIP'
         )
         SELECT 'order ' || order_id || ', ' || cause || ': ' || coalesce(c.most, 0) || ' to capture, '
             || coalesce(i.total, 0) || ' invoiced', order_id
         FROM captures c FULL JOIN invoiced i USING (order_id, cause)
         WHERE c.least IS DISTINCT FROM i.total OR c.most IS DISTINCT FROM i.total",
    ),
    always(
        "money.one_intent_per_payment",
        "a payment has at most one effect: it is sent under one key",
        ORDER,
        "effects",
        "SELECT 'payment ' || payment_id || ' has ' || count(*) || ' intents' FROM effects
         GROUP BY payment_id HAVING count(*) > 1",
    ),
    always(
        "money.effects_equal_payments",
        "a payment has succeeded when its effect is confirmed, has failed when it failed, and is open otherwise",
        ORDER,
        "payments",
        "SELECT 'payment ' || p.payment_id || ' is ' || p.state || ', its effect ' || coalesce(e.state, 'missing')
         FROM payments p LEFT JOIN effects e USING (payment_id)
         WHERE CASE p.state WHEN 'SUCCEEDED' THEN 'CONFIRMED' WHEN 'FAILED' THEN 'FAILED' ELSE 'OPEN' END
             IS DISTINCT FROM CASE WHEN e.state IN ('PLANNED', 'SENT', 'IN_DOUBT') THEN 'OPEN' ELSE e.state END",
    ),
    always(
        "money.nothing_stays_in_doubt",
        "no payment was sent a minute ago without being settled; none at all at rest",
        ORDER,
        "effects",
        "SELECT 'payment ' || payment_id || ' is ' || state || ' since ' || updated_at FROM effects
         WHERE state IN ('SENT', 'IN_DOUBT') AND ($1 OR updated_at < now() - interval '60 seconds')",
    ),
];
