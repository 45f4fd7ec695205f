//! Shipments, their labels and the carrier's own books.

use super::invariant::{Database, Invariant, always, settled};

const SHIPPING: &[Database] = &[Database::Shipping];

pub(super) const ALL: &[Invariant] = &[
    always(
        "shipping.one_live_label_per_shipped_package",
        "every package of a shipment that was handed over carries exactly one label that is bought, and its number",
        SHIPPING,
        "packages",
        "WITH live AS (
             SELECT p.package_id, count(l.label_id) AS labels,
                 bool_and(p.tracking_number = n.tracking_number) AS carries
             FROM shipments s JOIN packages p USING (shipment_id)
             LEFT JOIN label_packages n USING (package_id)
             LEFT JOIN labels l ON l.label_id = n.label_id AND l.shipment_id = s.shipment_id
                 AND l.state IN ('REQUESTED', 'PURCHASED', 'VOID_REQUESTED', 'IN_DOUBT')
             WHERE s.state IN ('SHIPPED', 'DELIVERED', 'DELIVERY_FAILED') AND (n.label_id IS NULL OR l.label_id IS NOT NULL)
             GROUP BY p.package_id
         )
         SELECT 'package ' || p.package_id || ' of shipment ' || p.shipment_id || ': ' || coalesce(labels, 0) || ' live labels'
         FROM shipments s JOIN packages p USING (shipment_id) LEFT JOIN live USING (package_id)
         WHERE s.state IN ('SHIPPED', 'DELIVERED', 'DELIVERY_FAILED') AND (labels IS DISTINCT FROM 1 OR carries IS NOT TRUE)",
    ),
    always(
        "shipping.tracking_numbers_are_unique",
        "no two packages have the same number of a carrier",
        SHIPPING,
        "label_packages",
        "SELECT carrier_id || ' ' || tracking_number || ': ' || count(*) || ' packages'
         FROM label_packages GROUP BY carrier_id, tracking_number HAVING count(*) > 1",
    ),
    always(
        "shipping.no_shipment_without_packing",
        "every shipment to a customer comes from a closed pack session of its order and fulfillment order",
        SHIPPING,
        "shipments",
        "SELECT 'shipment ' || s.shipment_id FROM shipments s
         LEFT JOIN pack_sessions p ON p.pack_session_id = s.pack_session_id AND p.order_id = s.order_id
             AND p.fulfillment_order_id = s.fulfillment_order_id
         WHERE s.direction = 'OUTBOUND' AND p.pack_session_id IS NULL",
    ),
    always(
        "shipping.shipment_equals_pack_session",
        "a shipment that is not canceled holds the units of its pack session, and a session is shipped once",
        SHIPPING,
        "package_lines",
        "WITH units AS (
             SELECT s.pack_session_id, l.order_line_id, l.reservation_id, l.lot, l.quantity AS shipped, 0 AS packed
             FROM shipments s JOIN packages USING (shipment_id) JOIN package_lines l USING (package_id)
             WHERE s.direction = 'OUTBOUND' AND s.state <> 'CANCELED'
             UNION ALL
             SELECT p.pack_session_id, p.order_line_id, p.reservation_id, p.lot, 0, p.quantity
             FROM pack_session_lines p
             WHERE EXISTS (SELECT FROM shipments s WHERE s.pack_session_id = p.pack_session_id AND s.state <> 'CANCELED')
         )
         SELECT 'pack session ' || pack_session_id || ', order line ' || order_line_id || ': ' || sum(packed) || ' packed, '
             || sum(shipped) || ' in shipments'
         FROM units GROUP BY pack_session_id, order_line_id, reservation_id, lot HAVING sum(packed) <> sum(shipped)",
    ),
    always(
        "shipping.delivered_with_every_package",
        "a shipment is delivered when every package of it is, and not before",
        SHIPPING,
        "shipments",
        "SELECT 'shipment ' || s.shipment_id || ' is ' || s.state
         FROM shipments s JOIN packages p USING (shipment_id)
         WHERE s.state IN ('SHIPPED', 'DELIVERED', 'DELIVERY_FAILED')
         GROUP BY s.shipment_id
         HAVING (s.state = 'DELIVERED') <> bool_and(p.tracking_status IS NOT DISTINCT FROM 'DELIVERED')",
    ),
    settled(
        "shipping.carrier_books_equal_labels",
        "every bought label stands in the built-in carrier's books with its numbers, and every booking that stands \
         has its label",
        SHIPPING,
        "table_rate_bookings",
        "WITH ours AS (
             SELECT l.carrier_reference, s.order_id, l.label_id, n.package_id, n.tracking_number
             FROM labels l JOIN shipments s USING (shipment_id) JOIN label_packages n USING (label_id)
             WHERE l.carrier_id = 'table_rate' AND l.state IN ('PURCHASED', 'VOID_REQUESTED')
         ), theirs AS (
             SELECT b.reference, b.idempotency_key, p.package_id, p.tracking_number
             FROM table_rate_bookings b
             CROSS JOIN LATERAL unnest(b.package_ids, b.tracking_numbers) AS p (package_id, tracking_number)
             WHERE b.voided_at IS NULL
         )
         SELECT coalesce('label ' || ours.label_id || ' is not booked', 'booking ' || theirs.reference || ' has no label'),
             coalesce(ours.order_id, s.order_id)
         FROM ours FULL JOIN theirs ON theirs.reference = ours.carrier_reference
             AND theirs.package_id = ours.package_id AND theirs.tracking_number = ours.tracking_number
         LEFT JOIN effects e ON e.idempotency_key = theirs.idempotency_key
         LEFT JOIN labels l ON l.label_id = e.label_id
         LEFT JOIN shipments s ON s.shipment_id = l.shipment_id
         WHERE ours.label_id IS NULL OR theirs.reference IS NULL",
    ),
    always(
        "shipping.one_booking_per_intent",
        "what the built-in carrier booked has an intent of ours, and no label was bought twice",
        SHIPPING,
        "effects",
        "SELECT 'booking ' || reference || ' has no intent' FROM table_rate_bookings b
         WHERE NOT EXISTS (SELECT FROM effects e WHERE e.idempotency_key = b.idempotency_key AND e.kind = 'BUY_LABEL')
         UNION ALL
         SELECT 'label ' || e.label_id || ' has ' || count(*) || ' bookings'
         FROM effects e JOIN table_rate_bookings b USING (idempotency_key)
         GROUP BY e.label_id HAVING count(*) > 1",
    ),
    always(
        "shipping.nothing_stays_in_doubt",
        "no label was asked of a carrier a minute ago without being settled; none at all at rest",
        SHIPPING,
        "effects",
        "SELECT 'effect ' || effect_id || ' is ' || state || ' since ' || updated_at FROM effects
         WHERE state IN ('PLANNED', 'SENT', 'IN_DOUBT') AND ($1 OR updated_at < now() - interval '60 seconds')",
    ),
];
