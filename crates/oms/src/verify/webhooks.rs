//! Webhooks to endpoints outside: what the feed tells goes out, and nothing else does.

use super::invariant::{Database, Invariant, always};

const ORDER: &[Database] = &[Database::Order];

pub(super) const ALL: &[Invariant] = &[
    always(
        "webhooks.follow_the_feed",
        "webhooks have not read further than the feed of the order service reaches; at rest they have read it to its end",
        ORDER,
        "feed_cursors WHERE consumer = 'webhooks'",
        "SELECT 'webhooks have read ' || c.pos || ' of a feed that ends at ' || h.pos FROM feed_cursors c, feed_head h
         WHERE c.consumer = 'webhooks' AND (c.pos > h.pos OR ($1 AND c.pos < h.pos))",
    ),
    always(
        "webhooks.deliveries_have_their_event",
        "every delivery is of the event that stands at its position, as long as the feed keeps it",
        ORDER,
        "webhook_deliveries",
        "SELECT 'delivery ' || d.delivery_id || ' is of event ' || d.event_id || ', which is not at position ' || d.feed_pos
         FROM webhook_deliveries d
         WHERE d.feed_pos >= (SELECT first_pos FROM feed_head) AND NOT EXISTS (
             SELECT FROM feed f WHERE f.pos = d.feed_pos AND f.event_id = d.event_id AND f.event_type = d.event_type)",
    ),
    always(
        "webhooks.delivered_means_accepted",
        "a delivery is done when its last attempt was answered with a status of 200 to 299, and not before",
        ORDER,
        "webhook_deliveries",
        "SELECT 'delivery ' || d.delivery_id || ' is ' || d.state FROM webhook_deliveries d
         WHERE d.state = 'DELIVERED' AND NOT EXISTS (SELECT FROM webhook_attempts a
             WHERE a.delivery_id = d.delivery_id AND a.attempt = d.attempt AND a.status_code BETWEEN 200 AND 299)",
    ),
    always(
        "webhooks.deliveries_go_out",
        "no delivery to an endpoint that works is ten minutes past its time, and none is pending longer than its schedule takes",
        ORDER,
        "webhook_deliveries",
        "SELECT 'delivery ' || d.delivery_id || ' is due since ' || d.next_attempt_at
         FROM webhook_deliveries d JOIN webhook_endpoints e USING (endpoint_id)
         WHERE d.state = 'PENDING' AND e.state = 'ENABLED' AND e.failing_since IS NULL
             AND (d.next_attempt_at < now() - interval '10 minutes' 
                 OR (d.created_at < now() - interval '4 days' AND e.updated_at < now() - interval '4 days'))",
    ),
];
