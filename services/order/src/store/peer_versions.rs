//! How far the events of peers' aggregates have counted here.

use sqlx::PgConnection;

use super::StoreError;

/// Takes an event into account: false when it, or a later one of its aggregate, counted before.
pub(crate) async fn advance(
    conn: &mut PgConnection,
    source: &str,
    aggregate_id: &str,
    version: i64,
) -> Result<bool, StoreError> {
    let moved = sqlx::query!(
        "INSERT INTO peer_versions (source, aggregate_id, version) VALUES ($1, $2, $3)
         ON CONFLICT ON CONSTRAINT peer_versions_pkey DO UPDATE SET version = $3
             WHERE peer_versions.version < $3",
        source,
        aggregate_id,
        version
    )
    .execute(conn)
    .await?;
    Ok(moved.rows_affected() == 1)
}

/// Waits until no other consumer's transaction has orders locked. A batch of a feed locks many orders, in
/// its own order; two feeds that tell of the same orders would lock each other out again and again.
pub(crate) async fn take_turn(conn: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended('order/consumers', 0))")
        .execute(conn)
        .await?;
    Ok(())
}
