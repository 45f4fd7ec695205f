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
