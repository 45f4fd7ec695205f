//! The flow of units through an order, and through the work of the warehouses for it.

use super::invariant::{Database, Invariant, always, settled};

const ORDER: &[Database] = &[Database::Order];
const FULFILLMENT: &[Database] = &[Database::Fulfillment];

pub(super) const ALL: &[Invariant] = &[
    settled(
        "flow.counters_equal_reservations",
        "held, allocated and backordered of an order line are the sums of the order's copies of its reservations, once \
         the order is no longer pending",
        ORDER,
        "order_lines",
        "WITH reserved AS (
             SELECT order_line_id,
                 coalesce(sum(quantity) FILTER (WHERE state = 'HELD'), 0) AS held,
                 coalesce(sum(quantity) FILTER (WHERE state = 'ALLOCATED'), 0) AS allocated,
                 coalesce(sum(quantity) FILTER (WHERE state = 'BACKORDERED'), 0) AS backordered
             FROM reservation_lines GROUP BY order_line_id
         )
         SELECT 'order line ' || order_line_id || ': ' || concat_ws('/', l.held, l.allocated, l.backordered)
             || ' held/allocated/backordered, reserved '
             || concat_ws('/', coalesce(r.held, 0), coalesce(r.allocated, 0), coalesce(r.backordered, 0)), order_id
         FROM order_lines l JOIN orders o USING (order_id) LEFT JOIN reserved r USING (order_line_id)
         WHERE o.state <> 'PENDING' AND (l.held, l.allocated, l.backordered)
             IS DISTINCT FROM (coalesce(r.held, 0), coalesce(r.allocated, 0), coalesce(r.backordered, 0))",
    ),
    always(
        "flow.canceled_and_shipped_within_ordered",
        "no unit is both canceled and shipped, and no more than was ordered is either",
        ORDER,
        "order_lines",
        "SELECT 'order line ' || order_line_id || ': ' || ordered || ' ordered, ' || canceled || ' canceled, '
             || shipped || ' shipped'
         FROM order_lines WHERE canceled < 0 OR shipped < 0 OR canceled + shipped > ordered",
    ),
    settled(
        "flow.picked_within_ordered",
        "no more is picked than was ordered",
        ORDER,
        "order_lines",
        "SELECT 'order line ' || order_line_id || ': ' || picked || ' of ' || ordered, order_id
         FROM order_lines WHERE picked > ordered",
    ),
    settled(
        "flow.packed_within_picked",
        "no more is packed than was picked",
        ORDER,
        "order_lines",
        "SELECT 'order line ' || order_line_id || ': ' || packed || ' packed, ' || picked || ' picked', order_id
         FROM order_lines WHERE packed > picked",
    ),
    settled(
        "flow.shipped_within_packed",
        "no more is shipped than was packed",
        ORDER,
        "order_lines",
        "SELECT 'order line ' || order_line_id || ': ' || shipped || ' shipped, ' || packed || ' packed', order_id
         FROM order_lines WHERE shipped > packed",
    ),
    settled(
        "flow.delivered_within_shipped",
        "no more is delivered than was shipped",
        ORDER,
        "order_lines",
        "SELECT 'order line ' || order_line_id || ': ' || delivered || ' delivered, ' || shipped || ' shipped', order_id
         FROM order_lines WHERE delivered > shipped",
    ),
    settled(
        "flow.returned_within_shipped",
        "no more comes back, or is refunded for a return, than was shipped",
        ORDER,
        "order_lines",
        "SELECT 'order line ' || order_line_id || ': ' || shipped || ' shipped, ' || returned || ' returned, '
             || refunded || ' refunded', order_id
         FROM order_lines WHERE greatest(returned, return_requested, refunded) > shipped",
    ),
    settled(
        "flow.ended_orders_are_done",
        "a completed order has shipped or canceled every unit; one that was canceled, rejected or expired has \
         shipped none",
        ORDER,
        "orders",
        "SELECT 'order ' || order_id || ' is ' || o.state || ', line ' || l.line_number || ': ' || l.ordered || ' ordered, '
             || l.canceled || ' canceled, ' || l.shipped || ' shipped', order_id
         FROM orders o JOIN order_lines l USING (order_id)
         WHERE (o.state = 'COMPLETED' AND l.shipped + l.canceled <> l.ordered)
             OR (o.state = 'CANCELED' AND l.canceled <> l.ordered)
             OR (o.state IN ('CANCELED', 'REJECTED', 'EXPIRED') AND l.shipped <> 0)",
    ),
    always(
        "flow.fulfillment_counters_nest",
        "per line of a fulfillment order: shipped <= packed, packed <= picked, picked + short + canceled <= total",
        FULFILLMENT,
        "fulfillment_order_lines",
        "SELECT 'fulfillment order line ' || fulfillment_order_line_id FROM fulfillment_order_lines
         WHERE shipped > packed OR packed + packing > picked OR picked + short + canceled > total
             OR least(picked, packing, packed, shipped, short, canceled) < 0",
    ),
    always(
        "flow.fulfillment_state_fits_counters",
        "a fulfillment order is closed, incomplete or canceled exactly when every unit of it shipped, was canceled \
         or was handed back as short",
        FULFILLMENT,
        "fulfillment_orders",
        "SELECT 'fulfillment order ' || fulfillment_order_id || ' is ' || state || ' with ' || open || ' open units'
         FROM (SELECT fulfillment_order_id, o.state, sum(total - shipped - canceled - short) AS open,
                 sum(shipped) AS shipped, sum(total - canceled) AS live
             FROM fulfillment_orders o JOIN fulfillment_order_lines USING (fulfillment_order_id)
             GROUP BY fulfillment_order_id) AS sums
         WHERE (open = 0) <> (state IN ('CLOSED', 'INCOMPLETE', 'CANCELED'))
             OR (state = 'CANCELED' AND live <> 0) OR (state = 'INCOMPLETE' AND shipped <> 0)",
    ),
    always(
        "flow.pick_lines_equal_fulfillment",
        "picked, short and canceled units of a pick line are those of its line of the fulfillment order",
        FULFILLMENT,
        "fulfillment_order_lines",
        "SELECT 'fulfillment order line ' || fulfillment_order_line_id
         FROM fulfillment_order_lines f LEFT JOIN pick_lines p USING (fulfillment_order_line_id)
         WHERE (f.picked, f.short) IS DISTINCT FROM (coalesce(p.picked, 0), coalesce(p.short, 0))
             -- Units canceled before the wave never came onto the list.
             OR f.total - f.canceled <> p.quantity - p.canceled",
    ),
    always(
        "flow.shorts_equal_fulfillment",
        "the short units of a fulfillment order line are those of its reports",
        FULFILLMENT,
        "shorts",
        "SELECT 'fulfillment order line ' || fulfillment_order_line_id || ': ' || f.short || ' short, '
             || coalesce(sum(s.quantity), 0) || ' reported'
         FROM fulfillment_order_lines f LEFT JOIN shorts s USING (fulfillment_order_line_id)
         GROUP BY fulfillment_order_line_id HAVING f.short <> coalesce(sum(s.quantity), 0)",
    ),
    always(
        "flow.packages_equal_packed",
        "what lies in the packages of closed and open pack sessions is what was packed and is being packed",
        FULFILLMENT,
        "fulfillment_order_lines",
        "WITH scanned AS (
             SELECT fulfillment_order_line_id,
                 coalesce(sum(quantity) FILTER (WHERE s.state = 'CLOSED'), 0) AS closed,
                 coalesce(sum(quantity) FILTER (WHERE s.state = 'OPEN'), 0) AS open
             FROM package_lines JOIN packages USING (package_id) JOIN pack_sessions s USING (pack_session_id)
             GROUP BY fulfillment_order_line_id
         )
         SELECT 'fulfillment order line ' || fulfillment_order_line_id || ': ' || f.packed || ' packed, '
             || coalesce(closed, 0) || ' in packages'
         FROM fulfillment_order_lines f LEFT JOIN scanned USING (fulfillment_order_line_id)
         WHERE (f.packed, f.packing) IS DISTINCT FROM (coalesce(closed, 0), coalesce(open, 0))",
    ),
    always(
        "flow.shipped_equals_counted",
        "the shipped units of a fulfillment order are those of the pack sessions whose shipments were counted",
        FULFILLMENT,
        "fulfillment_order_lines",
        "WITH counted AS (
             SELECT fulfillment_order_line_id, sum(quantity) AS units
             FROM package_lines JOIN packages USING (package_id) JOIN counted_shipments USING (pack_session_id)
             GROUP BY fulfillment_order_line_id
         )
         SELECT 'fulfillment order line ' || fulfillment_order_line_id || ': ' || f.shipped || ' shipped, '
             || coalesce(units, 0) || ' counted'
         FROM fulfillment_order_lines f LEFT JOIN counted USING (fulfillment_order_line_id)
         WHERE f.shipped <> coalesce(units, 0)",
    ),
];
