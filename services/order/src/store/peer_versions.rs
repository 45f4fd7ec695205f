//! How far the events of peers' aggregates have counted here.

use oms_core::OrderId;
use sqlx::PgConnection;

use super::StoreError;

/// Takes an event of an order into account: false when the order is not ours, or when the event or a later one of
/// its aggregate counted before.
pub(crate) async fn advance(
    conn: &mut PgConnection,
    order_id: OrderId,
    source: &str,
    aggregate_id: &str,
    version: i64,
) -> Result<bool, StoreError> {
    let moved = sqlx::query!(
        "INSERT INTO peer_versions (source, aggregate_id, version)
         SELECT $1, $2, $3 FROM orders WHERE order_id = $4
         ON CONFLICT ON CONSTRAINT peer_versions_pkey DO UPDATE SET version = $3
             WHERE peer_versions.version < $3",
        source,
        aggregate_id,
        version,
        order_id.uuid(),
    )
    .execute(conn)
    .await?;
    Ok(moved.rows_affected() == 1)
}
