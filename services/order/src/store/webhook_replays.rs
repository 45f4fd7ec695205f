//! Ranges of the feed that are to be delivered again.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;

/// A range for one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Replay {
    pub(crate) replay_id: Uuid,
    pub(crate) endpoint_id: Uuid,
    /// What is before is done.
    pub(crate) after_pos: i64,
    pub(crate) through_pos: i64,
    /// Events that happened then or later.
    pub(crate) starts_at: Option<OffsetDateTime>,
    /// Events that happened before.
    pub(crate) ends_at: Option<OffsetDateTime>,
}

/// Writes down that a range is to be replayed.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    replay: &Replay,
    requested_by: &str,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO webhook_replays (replay_id, endpoint_id, after_pos, through_pos, starts_at, ends_at, requested_by,
             created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        replay.replay_id,
        replay.endpoint_id,
        replay.after_pos,
        replay.through_pos,
        replay.starts_at,
        replay.ends_at,
        requested_by,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Locks the oldest replay that nobody works on.
pub(crate) async fn lock_next(conn: &mut PgConnection) -> Result<Option<Replay>, StoreError> {
    let replay = sqlx::query_as!(
        Replay,
        "SELECT replay_id, endpoint_id, after_pos, through_pos, starts_at, ends_at
         FROM webhook_replays ORDER BY created_at, replay_id LIMIT 1 FOR UPDATE SKIP LOCKED",
    )
    .fetch_optional(conn)
    .await?;
    Ok(replay)
}

/// Moves a replay on.
pub(crate) async fn advance(
    conn: &mut PgConnection,
    replay_id: Uuid,
    after_pos: i64,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE webhook_replays SET after_pos = $2 WHERE replay_id = $1",
        replay_id,
        after_pos
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Ends a replay.
pub(crate) async fn delete(conn: &mut PgConnection, replay_id: Uuid) -> Result<(), StoreError> {
    sqlx::query!(
        "DELETE FROM webhook_replays WHERE replay_id = $1",
        replay_id
    )
    .execute(conn)
    .await?;
    Ok(())
}
