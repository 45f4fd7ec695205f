//! Events of payment providers that were dealt with.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::StoreError;

/// Whether an event was dealt with.
pub(crate) async fn is_known(
    conn: &mut PgConnection,
    provider: &str,
    event_id: &str,
) -> Result<bool, StoreError> {
    let known = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM webhook_events WHERE provider = $1 AND event_id = $2) AS "known!""#,
        provider,
        event_id
    )
    .fetch_one(conn)
    .await?;
    Ok(known)
}

/// Remembers that an event was dealt with.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    provider: &str,
    event_id: &str,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO webhook_events (provider, event_id, taken_at) VALUES ($1, $2, $3)
         ON CONFLICT ON CONSTRAINT webhook_events_pkey DO NOTHING",
        provider,
        event_id,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets events that were dealt with before a time, at most so many; answers how many.
pub(crate) async fn forget(
    conn: &mut PgConnection,
    before: OffsetDateTime,
    limit: i64,
) -> Result<u64, StoreError> {
    let forgotten = sqlx::query!(
        "DELETE FROM webhook_events WHERE (provider, event_id) IN (
             SELECT provider, event_id FROM webhook_events WHERE taken_at < $1
             ORDER BY taken_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
        before,
        limit
    )
    .execute(conn)
    .await?;
    Ok(forgotten.rows_affected())
}
