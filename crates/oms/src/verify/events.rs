//! Events on their way between the services, and the history that each service keeps.

use super::invariant::{Database, Invariant, always, relation};
use super::relations::feeds;

const ORDER: &[Database] = &[Database::Order];
const INVENTORY: &[Database] = &[Database::Inventory];
const FULFILLMENT: &[Database] = &[Database::Fulfillment];
const SHIPPING: &[Database] = &[Database::Shipping];
const RETURNS: &[Database] = &[Database::Returns];

pub(super) const ALL: &[Invariant] = &[
    always(
        "events.positions_are_dense",
        "the positions of a feed follow each other without a gap, from what retention keeps to the head",
        &Database::ALL,
        "feed",
        "SELECT 'feed holds ' || f.events || ' events from ' || coalesce(f.first, 0) || ' to ' || coalesce(f.last, 0)
             || ', its head says ' || h.first_pos || ' to ' || h.pos
         FROM feed_head h CROSS JOIN (SELECT count(*) AS events, min(pos) AS first, max(pos) AS last FROM feed) AS f
         WHERE f.events <> h.pos - h.first_pos + 1
             OR (f.events > 0 AND (f.first, f.last) IS DISTINCT FROM (h.first_pos, h.pos))",
    ),
    always(
        "events.versions_are_contiguous",
        "the events of an aggregate are numbered 1, 2, 3 without a gap, in the feed and the outbox together",
        &Database::ALL,
        "feed",
        "WITH events AS (
             SELECT aggregate_type, aggregate_id, aggregate_version FROM feed
             UNION ALL SELECT aggregate_type, aggregate_id, aggregate_version FROM outbox
         )
         SELECT aggregate_type || ' ' || aggregate_id || ': ' || count(*) || ' events from ' || min(aggregate_version)
             || ' to ' || max(aggregate_version)
         FROM events GROUP BY aggregate_type, aggregate_id
         HAVING count(*) <> max(aggregate_version) - min(aggregate_version) + 1
             OR count(*) <> count(DISTINCT aggregate_version)
             -- What retention has dropped may have begun before.
             OR (min(aggregate_version) <> 1 AND (SELECT first_pos FROM feed_head) = 1)",
    ),
    always(
        "events.order_follows_versions",
        "the events of an aggregate stand in the feed in the order of their versions",
        &Database::ALL,
        "feed",
        "SELECT aggregate_type || ' ' || aggregate_id || ': version ' || aggregate_version || ' at ' || pos || ' comes late'
         FROM (SELECT *, max(pos) OVER (PARTITION BY aggregate_type, aggregate_id ORDER BY aggregate_version) AS reached
             FROM feed) AS f
         WHERE pos < reached",
    ),
    always(
        "events.order_is_told_in_full",
        "the version of an order or channel is the number of its last event",
        ORDER,
        "orders",
        "WITH last AS (
             SELECT aggregate_type, aggregate_id, max(aggregate_version) AS version FROM (
                 SELECT aggregate_type, aggregate_id, aggregate_version FROM feed
                 UNION ALL SELECT aggregate_type, aggregate_id, aggregate_version FROM outbox) AS events
             GROUP BY aggregate_type, aggregate_id
         ), rows AS (
             SELECT 'order' AS aggregate_type, order_id::text AS aggregate_id, version FROM orders
             UNION ALL SELECT 'channel', channel_id, version FROM channels
         )
         SELECT aggregate_type || ' ' || aggregate_id || ' is at ' || rows.version || ', told until ' || coalesce(last.version, 0)
         FROM rows LEFT JOIN last USING (aggregate_type, aggregate_id)
         WHERE rows.version IS DISTINCT FROM last.version AND (SELECT first_pos FROM feed_head) = 1",
    ),
    always(
        "events.stock_is_told_in_full",
        "the version of an item, location, lane or reservation is the number of its last event",
        INVENTORY,
        "reservation",
        "WITH last AS (
             SELECT aggregate_type, aggregate_id, max(aggregate_version) AS version FROM (
                 SELECT aggregate_type, aggregate_id, aggregate_version FROM feed
                 UNION ALL SELECT aggregate_type, aggregate_id, aggregate_version FROM outbox) AS events
             GROUP BY aggregate_type, aggregate_id
         ), rows AS (
             SELECT 'reservation' AS aggregate_type, reservation_id::text AS aggregate_id, version FROM reservation
             UNION ALL SELECT 'stock', sku, version FROM sku_lane WHERE version > 0
             UNION ALL SELECT 'item', sku, version FROM items
             UNION ALL SELECT 'location', location_id, version FROM locations
         )
         SELECT aggregate_type || ' ' || aggregate_id || ' is at ' || rows.version || ', told until ' || coalesce(last.version, 0)
         FROM rows LEFT JOIN last USING (aggregate_type, aggregate_id)
         WHERE rows.version IS DISTINCT FROM last.version AND (SELECT first_pos FROM feed_head) = 1",
    ),
    always(
        "events.fulfillment_is_told_in_full",
        "the event sequence of a fulfillment order is the number of its last event",
        FULFILLMENT,
        "fulfillment_orders",
        "WITH last AS (
             SELECT aggregate_id, max(aggregate_version) AS version FROM (
                 SELECT aggregate_id, aggregate_version FROM feed
                 UNION ALL SELECT aggregate_id, aggregate_version FROM outbox) AS events
             GROUP BY aggregate_id
         )
         SELECT 'fulfillment order ' || fulfillment_order_id || ' is at ' || event_sequence || ', told until '
             || coalesce(last.version, 0)
         FROM fulfillment_orders LEFT JOIN last ON aggregate_id = fulfillment_order_id::text
         WHERE event_sequence IS DISTINCT FROM last.version AND (SELECT first_pos FROM feed_head) = 1",
    ),
    always(
        "events.shipments_are_told_in_full",
        "the version of a shipment is the number of its last event",
        SHIPPING,
        "shipments",
        "WITH last AS (
             SELECT aggregate_id, max(aggregate_version) AS version FROM (
                 SELECT aggregate_id, aggregate_version FROM feed
                 UNION ALL SELECT aggregate_id, aggregate_version FROM outbox) AS events
             GROUP BY aggregate_id
         )
         SELECT 'shipment ' || shipment_id || ' is at ' || shipments.version || ', told until ' || coalesce(last.version, 0)
         FROM shipments LEFT JOIN last ON aggregate_id = shipment_id::text
         WHERE shipments.version IS DISTINCT FROM last.version AND (SELECT first_pos FROM feed_head) = 1",
    ),
    always(
        "events.returns_are_told_in_full",
        "the version of a return is the number of its last event",
        RETURNS,
        "returns",
        "WITH last AS (
             SELECT aggregate_id, max(aggregate_version) AS version FROM (
                 SELECT aggregate_id, aggregate_version FROM feed
                 UNION ALL SELECT aggregate_id, aggregate_version FROM outbox) AS events
             GROUP BY aggregate_id
         )
         SELECT 'return ' || return_id || ' is at ' || returns.version || ', told until ' || coalesce(last.version, 0)
         FROM returns LEFT JOIN last ON aggregate_id = return_id::text
         WHERE returns.version IS DISTINCT FROM last.version AND (SELECT first_pos FROM feed_head) = 1",
    ),
    always(
        "events.timeline_is_contiguous",
        "the timeline of an order is numbered 1, 2, 3 without a gap, and every row says who did it",
        ORDER,
        "timeline",
        "SELECT 'order ' || o.order_id || ': ' || count(t.sequence) || ' rows, the last is ' || o.timeline_sequence
         FROM orders o LEFT JOIN timeline t USING (order_id)
         GROUP BY o.order_id
         HAVING count(t.sequence) <> o.timeline_sequence OR coalesce(max(t.sequence), 0) <> o.timeline_sequence
             OR coalesce(bool_or(t.actor = '' OR t.action = ''), false)",
    ),
    always(
        "events.requests_have_results",
        "every request id that is kept has the resource that its call made",
        &Database::ALL,
        "idempotency",
        "SELECT method || ' ' || request_id || ' of ' || principal FROM idempotency WHERE resource_id IS NULL",
    ),
    always(
        "events.outbox_drains",
        "no event waits in the outbox for a minute; none at all at rest",
        &Database::ALL,
        "outbox",
        "SELECT event_type || ' of ' || aggregate_type || ' ' || aggregate_id || ' waits since ' || occurred_at FROM outbox
         WHERE $1 OR occurred_at < now() - interval '60 seconds'",
    ),
    always(
        "events.none_are_parked",
        "every event could be applied by every consumer",
        &Database::ALL,
        "parked_events",
        "SELECT event_type || ' of ' || aggregate_type || ' ' || aggregate_id || ' of ' || source || ': ' || error
         FROM parked_events",
    ),
    relation(
        "events.cursors_are_within_feeds",
        "no consumer has read further than the feed reaches, or in another epoch",
        feeds::cursors_are_within_feeds,
    ),
    relation(
        "events.cursors_keep_up",
        "no event is unread for a minute; at rest every feed is read to its end",
        feeds::cursors_keep_up,
    ),
];
