//! Events that could not be applied. A parked event blocks its aggregate only: the later events of
//! the aggregate are parked behind it, everything else goes on, and nothing is skipped in silence.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Error;

/// An event set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedEvent {
    /// Consumer that could not apply it.
    pub consumer: String,
    /// Service whose feed it is from.
    pub source: String,
    /// Epoch of that feed.
    pub epoch: Uuid,
    /// Position in that feed.
    pub pos: i64,
    /// Id of the event.
    pub event_id: Uuid,
    /// Name of its message.
    pub event_type: String,
    /// Kind of its aggregate.
    pub aggregate_type: String,
    /// Id of its aggregate.
    pub aggregate_id: String,
    /// Bytes of the whole `oms.events.v1.Event`.
    pub event: Vec<u8>,
    /// Why it could not be applied.
    pub error: String,
}

/// A parked event with its history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedRow {
    /// Epoch of the feed.
    pub epoch: Uuid,
    /// Position in the feed.
    pub pos: i64,
    /// Id of the event.
    pub event_id: Uuid,
    /// Name of its message.
    pub event_type: String,
    /// Kind of its aggregate.
    pub aggregate_type: String,
    /// Id of its aggregate.
    pub aggregate_id: String,
    /// Bytes of the whole `oms.events.v1.Event`.
    pub event: Vec<u8>,
    /// Why it could not be applied the last time.
    pub error: String,
    /// How often it was tried.
    pub attempts: i32,
    /// Since when it has been parked, by the database's time.
    pub parked_at: OffsetDateTime,
}

/// Whether an event of the aggregate is parked, so that later ones must be parked behind it.
pub async fn blocks(
    conn: &mut PgConnection,
    consumer: &str,
    source: &str,
    aggregate_type: &str,
    aggregate_id: &str,
) -> Result<bool, Error> {
    let blocked = sqlx::query_scalar!(
        r#"select exists (select from parked_events
           where consumer = $1 and source = $2 and aggregate_type = $3 and aggregate_id = $4)
           as "blocked!""#,
        consumer,
        source,
        aggregate_type,
        aggregate_id,
    )
    .fetch_one(conn)
    .await?;
    Ok(blocked)
}

/// Parks an event, or counts one more attempt of a parked one.
pub async fn park(conn: &mut PgConnection, event: &ParkedEvent) -> Result<(), Error> {
    sqlx::query!(
        "insert into parked_events (consumer, source, epoch, pos, event_id, event_type,
                                    aggregate_type, aggregate_id, event, error)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         on conflict (consumer, source, epoch, pos)
         do update set attempts = parked_events.attempts + 1, error = excluded.error",
        event.consumer,
        event.source,
        event.epoch,
        event.pos,
        event.event_id,
        event.event_type,
        event.aggregate_type,
        event.aggregate_id,
        event.event,
        event.error,
    )
    .execute(conn)
    .await?;
    tracing::error!(
        consumer = event.consumer,
        source = event.source,
        pos = event.pos,
        event_type = event.event_type,
        aggregate_id = event.aggregate_id,
        error = event.error,
        "event parked"
    );
    Ok(())
}

/// The oldest parked event of each aggregate of a consumer: the ones that may be tried again. In the order of kind and id of
/// the aggregate, those behind `after`; two empty texts stand before all.
pub async fn heads(
    conn: &mut PgConnection,
    consumer: &str,
    source: &str,
    after: (&str, &str),
    limit: i64,
) -> Result<Vec<ParkedRow>, Error> {
    let (after_type, after_id) = after;
    let rows = sqlx::query_as!(
        ParkedRow,
        "select distinct on (aggregate_type, aggregate_id)
                epoch, pos, event_id, event_type, aggregate_type, aggregate_id, event, error,
                attempts, parked_at
         from parked_events
         where consumer = $1 and source = $2 and (aggregate_type, aggregate_id) > ($3, $4)
         order by aggregate_type, aggregate_id, pos limit $5",
        consumer,
        source,
        after_type,
        after_id,
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

/// Takes a parked event out, when it was applied in this transaction or given up by a person.
/// `false` when it is not parked any more.
pub async fn remove(
    conn: &mut PgConnection,
    consumer: &str,
    source: &str,
    epoch: Uuid,
    pos: i64,
) -> Result<bool, Error> {
    let removed = sqlx::query!(
        "delete from parked_events
         where consumer = $1 and source = $2 and epoch = $3 and pos = $4",
        consumer,
        source,
        epoch,
        pos,
    )
    .execute(conn)
    .await?
    .rows_affected();
    Ok(removed > 0)
}
