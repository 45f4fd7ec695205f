//! Which orders are on their way: five databases have no common moment, so what they say of an order can be compared
//! only when nothing about it has changed for a minute, no work on it is open and no event about it unread.

use std::collections::HashSet;

use futures::future::try_join_all;
use sqlx::PgConnection;
use uuid::Uuid;

use super::invariant::Database;
use super::snapshot::Snapshot;

/// Aggregates with open tasks, events on their way out, unread events and parked events. The renewal of an authorization
/// waits for days until it is due; nothing is under way till then.
const TOUCHED: &str = "
    SELECT key FROM tasks WHERE state IN ('READY', 'STUCK')
        AND NOT (kind = 'renew_authorization' AND state = 'READY' AND failures = 0 AND run_at > now())
    UNION SELECT aggregate_id FROM outbox
    UNION SELECT aggregate_id FROM feed WHERE pos > $1
    UNION SELECT aggregate_id FROM parked_events";

/// Orders that a database has changed within a minute, and those that ids of its rows belong to.
fn resolve(database: Database) -> &'static str {
    match database {
        Database::Order => {
            "SELECT order_id FROM orders WHERE updated_at > now() - interval '60 seconds' OR order_id = ANY ($1)
             UNION SELECT order_id FROM sagas
                 WHERE state IN ('RUNNING', 'UNDOING') OR updated_at > now() - interval '60 seconds'
             UNION SELECT order_id FROM payments WHERE payment_id = ANY ($1)
                 OR updated_at > now() - interval '60 seconds'"
        }
        Database::Inventory => {
            "SELECT order_id FROM reservation WHERE order_id IS NOT NULL
                 AND (updated_at > now() - interval '60 seconds' OR reservation_id = ANY ($1))"
        }
        Database::Fulfillment => {
            "SELECT order_id FROM fulfillment_orders
                 WHERE updated_at > now() - interval '60 seconds' OR fulfillment_order_id = ANY ($1)
             UNION SELECT order_id FROM pack_sessions JOIN fulfillment_orders USING (fulfillment_order_id)
                 WHERE pack_session_id = ANY ($1)
             UNION SELECT order_id FROM shorts WHERE short_id = ANY ($1)"
        }
        Database::Shipping => {
            "SELECT order_id FROM shipments
                 WHERE updated_at > now() - interval '60 seconds' OR shipment_id = ANY ($1) OR pack_session_id = ANY ($1)
             UNION SELECT order_id FROM pack_sessions
                 WHERE created_at > now() - interval '60 seconds' OR pack_session_id = ANY ($1)
             UNION SELECT order_id FROM shipments JOIN labels USING (shipment_id) WHERE label_id = ANY ($1)"
        }
        Database::Returns => {
            "SELECT order_id FROM returns
                 WHERE updated_at > now() - interval '60 seconds' OR return_id = ANY ($1)"
        }
    }
}

/// The orders on their way, over all databases.
pub(super) async fn orders(snapshots: &mut [Snapshot]) -> anyhow::Result<HashSet<Uuid>> {
    let read: Vec<i64> = snapshots
        .iter()
        .map(|snapshot| read_by_all(snapshot.database, snapshots))
        .collect();
    let touched = snapshots
        .iter_mut()
        .zip(read)
        .map(|(snapshot, read)| touched(&mut snapshot.conn, read));
    let touched = try_join_all(touched).await?.concat();
    // Whose id it is does not matter: each database knows its own. Skus and the like are no ids of orders.
    let mut ids: Vec<Uuid> = touched
        .iter()
        .filter_map(|key| Uuid::try_parse(key).ok())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    let found = snapshots
        .iter_mut()
        .map(|snapshot| orders_of(snapshot, &ids));
    let mut orders: HashSet<Uuid> = try_join_all(found).await?.into_iter().flatten().collect();
    // An order that is not known yet to its own service stands for itself.
    orders.extend(ids);
    Ok(orders)
}

/// How far every consumer has read the feed of a service; its end when nobody reads it.
fn read_by_all(source: Database, snapshots: &[Snapshot]) -> i64 {
    snapshots
        .iter()
        .flat_map(|snapshot| &snapshot.cursors)
        .filter(|cursor| cursor.source == source.service())
        .map(|cursor| cursor.pos)
        .min()
        .unwrap_or(i64::MAX)
}

async fn touched(conn: &mut PgConnection, read: i64) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar(TOUCHED).bind(read).fetch_all(conn).await
}

async fn orders_of(snapshot: &mut Snapshot, ids: &[Uuid]) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar(resolve(snapshot.database))
        .bind(ids)
        .fetch_all(&mut snapshot.conn)
        .await
}
