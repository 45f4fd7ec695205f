//! How far this service has read the feed of another one.
//!
//! A consumer's transaction moves the cursor first. That locks its row, so two consumers of one
//! name follow each other, and the later one sees that its batch was already applied.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::Error;

/// A position in another service's feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Epoch of the feed.
    pub epoch: Uuid,
    /// Last position whose effect is committed; 0 is the beginning.
    pub pos: i64,
}

/// The committed cursor; `None` before the first batch.
pub async fn get(
    conn: &mut PgConnection,
    consumer: &str,
    source: &str,
) -> Result<Option<Cursor>, Error> {
    let found = sqlx::query_as!(
        Cursor,
        "select epoch, pos from feed_cursors where consumer = $1 and source = $2",
        consumer,
        source,
    )
    .fetch_optional(conn)
    .await?;
    Ok(found)
}

/// The cursor was moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// Whether an earlier event of the source is parked, which may block later ones.
    pub has_parked: bool,
}

/// Moves the cursor over `(from_pos, through_pos]`. `None` when it does not stand at `from_pos`
/// in this epoch: drop the batch, apply nothing, and read again from [`get`].
pub async fn advance(
    conn: &mut PgConnection,
    consumer: &str,
    source: &str,
    epoch: Uuid,
    from_pos: i64,
    through_pos: i64,
) -> Result<Option<Moved>, Error> {
    let moved = sqlx::query_as!(
        Moved,
        r#"update feed_cursors set pos = $5, updated_at = now()
         where consumer = $1 and source = $2 and epoch = $3 and pos = $4
         returning exists (select from parked_events p
             where p.consumer = $1 and p.source = $2) as "has_parked!""#,
        consumer,
        source,
        epoch,
        from_pos,
        through_pos,
    )
    .fetch_optional(&mut *conn)
    .await?;
    if moved.is_some() || from_pos != 0 {
        return Ok(moved);
    }
    // No row yet: the beginning. Another consumer that is first makes this insert do nothing.
    let started = sqlx::query_as!(
        Moved,
        r#"insert into feed_cursors (consumer, source, epoch, pos) values ($1, $2, $3, $4)
         on conflict (consumer, source) do nothing
         returning exists (select from parked_events p
             where p.consumer = $1 and p.source = $2) as "has_parked!""#,
        consumer,
        source,
        epoch,
        through_pos,
    )
    .fetch_optional(conn)
    .await?;
    Ok(started)
}

/// Puts the cursor somewhere: to replay from an earlier position, or into another epoch after the
/// source was restored. Handlers are idempotent, so going back is safe.
pub async fn reset(
    conn: &mut PgConnection,
    consumer: &str,
    source: &str,
    cursor: Cursor,
) -> Result<(), Error> {
    sqlx::query!(
        "insert into feed_cursors (consumer, source, epoch, pos) values ($1, $2, $3, $4)
         on conflict (consumer, source)
         do update set epoch = excluded.epoch, pos = excluded.pos, updated_at = now()",
        consumer,
        source,
        cursor.epoch,
        cursor.pos,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets where the consumer stands: it reads the source again from its beginning, in whatever epoch that is. `false` when it
/// had not read anything.
pub async fn forget(conn: &mut PgConnection, consumer: &str, source: &str) -> Result<bool, Error> {
    let forgotten = sqlx::query!(
        "delete from feed_cursors where consumer = $1 and source = $2",
        consumer,
        source,
    )
    .execute(conn)
    .await?
    .rows_affected();
    Ok(forgotten > 0)
}
