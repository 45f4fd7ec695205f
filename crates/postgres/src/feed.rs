//! The service's event feed: dense positions, append-only, replayable from any position that is kept.

use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::partitions::{self, Partition};
use crate::{Db, Error};

/// Most positions that one batch covers.
pub const BATCH_POSITIONS_MAX: i64 = 2_000;
/// A batch ends before the event that would bring its payloads above this size.
const BATCH_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Where the feed ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    /// Changes when the database is restored; positions of another epoch mean nothing.
    pub epoch: Uuid,
    /// Highest position given; 0 when the feed is empty.
    pub pos: i64,
    /// Lowest position that is kept; one above `pos` when none is.
    pub first_pos: i64,
}

/// What a subscriber wants. Empty lists select everything; lists that are not must all match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Event types, such as `"ShipmentShipped"`.
    pub types: Vec<String>,
    /// Ids of aggregates.
    pub aggregate_ids: Vec<String>,
    /// Channels.
    pub channel_ids: Vec<String>,
    /// Locations.
    pub location_ids: Vec<String>,
    /// Partners.
    pub partner_ids: Vec<String>,
}

/// An event of the feed; the fields mean what they mean in [`crate::outbox::NewEvent`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented at NewEvent")]
pub struct FeedEvent {
    pub pos: i64,
    pub event_id: Uuid,
    pub aggregate_type: String,
    pub aggregate_id: String,
    pub aggregate_version: i64,
    pub event_type: String,
    pub payload: Vec<u8>,
    pub actor: String,
    pub traceparent: String,
    pub channel_id: Option<String>,
    pub location_id: Option<String>,
    pub partner_id: Option<String>,
    pub occurred_at: OffsetDateTime,
}

/// The matching events of `(from_pos, through_pos]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Epoch of the feed.
    pub epoch: Uuid,
    /// Position after which the batch begins.
    pub from_pos: i64,
    /// Last position that the batch covers, also when nothing matched. Equal to `from_pos` at the
    /// end of the feed.
    pub through_pos: i64,
    /// Where the feed ended when the batch was read.
    pub head_pos: i64,
    /// Matching events in order.
    pub events: Vec<FeedEvent>,
}

/// Where the feed begins and ends.
pub async fn head(conn: &mut PgConnection) -> Result<Head, Error> {
    let head = sqlx::query_as!(Head, "select epoch, pos, first_pos from feed_head")
        .fetch_one(conn)
        .await?;
    Ok(head)
}

/// Reads the batch after a position. It covers at most `limit` positions (capped at
/// [`BATCH_POSITIONS_MAX`], values below 1 mean the cap), so a filter that matches nothing still
/// moves on at a bounded cost.
///
/// # Errors
/// [`Error::FeedPositionGone`] when `after_pos` lies beyond the head or before what retention keeps.
pub async fn read(
    conn: &mut PgConnection,
    after_pos: i64,
    limit: i64,
    filter: &Filter,
) -> Result<Batch, Error> {
    let head = head(conn).await?;
    read_below(conn, head, after_pos, limit, filter).await
}

/// [`read`] up to a head that is known already: rows up to it were committed with it, so a later statement sees them all.
///
/// # Errors
/// As [`read`].
pub async fn read_below(
    conn: &mut PgConnection,
    head: Head,
    after_pos: i64,
    limit: i64,
    filter: &Filter,
) -> Result<Batch, Error> {
    if after_pos > head.pos || after_pos < head.first_pos - 1 {
        return Err(Error::FeedPositionGone {
            first_pos: head.first_pos,
            head_pos: head.pos,
        });
    }
    let span = if limit < 1 {
        BATCH_POSITIONS_MAX
    } else {
        limit.min(BATCH_POSITIONS_MAX)
    };
    let through_pos = head.pos.min(after_pos.saturating_add(span));
    let mut batch = Batch {
        epoch: head.epoch,
        from_pos: after_pos,
        through_pos,
        head_pos: head.pos,
        events: Vec::new(),
    };
    if through_pos > after_pos {
        batch.events = select(conn, after_pos, through_pos, filter).await?;
        cut_to_size(&mut batch);
    }
    Ok(batch)
}

async fn select(
    conn: &mut PgConnection,
    after_pos: i64,
    through_pos: i64,
    filter: &Filter,
) -> Result<Vec<FeedEvent>, Error> {
    let events = sqlx::query_as!(
        FeedEvent,
        "select pos, event_id, aggregate_type, aggregate_id, aggregate_version, event_type, payload,
                actor, traceparent, channel_id, location_id, partner_id, occurred_at
         from feed
         where pos > $1 and pos <= $2
           and (cardinality($3::text[]) = 0 or event_type = any($3))
           and (cardinality($4::text[]) = 0 or aggregate_id = any($4))
           and (cardinality($5::text[]) = 0 or channel_id = any($5))
           and (cardinality($6::text[]) = 0 or location_id = any($6))
           and (cardinality($7::text[]) = 0 or partner_id = any($7))
         order by pos",
        after_pos,
        through_pos,
        &filter.types,
        &filter.aggregate_ids,
        &filter.channel_ids,
        &filter.location_ids,
        &filter.partner_ids,
    )
    .fetch_all(conn)
    .await?;
    Ok(events)
}

fn cut_to_size(batch: &mut Batch) {
    let mut bytes = 0_usize;
    let fitting = batch
        .events
        .iter()
        .take_while(|event| {
            let is_first = bytes == 0;
            bytes = bytes
                .saturating_add(event.payload.len())
                .saturating_add(256);
            is_first || bytes <= BATCH_BYTES_MAX
        })
        .count();
    if let Some(next) = batch.events.get(fitting) {
        batch.through_pos = next.pos - 1;
        batch.events.truncate(fitting);
    }
}

/// Gives the feed another epoch: for operators after a restore, so that consumers resync.
pub async fn set_epoch(conn: &mut PgConnection, epoch: Uuid) -> Result<(), Error> {
    sqlx::query!("update feed_head set epoch = $1", epoch)
        .execute(conn)
        .await?;
    Ok(())
}

/// Makes sure that there are partitions for the next `ahead` positions; answers the position up to
/// which (excluded) there are. New partitions hold `size` positions.
pub(crate) async fn ensure_partitions(db: &Db, ahead: i64, size: i64) -> Result<i64, Error> {
    db.run_tx_quiet("ensure_feed_partitions", |tx| {
        Box::pin(async move {
            let pos = sqlx::query_scalar!("select pos from feed_head for update")
                .fetch_one(tx.conn())
                .await?;
            let through = pos.saturating_add(ahead);
            partitions::cover(tx.conn(), "feed", (pos, through), size).await
        })
    })
    .await
}

/// Drops the partitions whose every event was relayed more than `keep` ago and is in the audit log, except the one that
/// is being filled; answers how many. The head and positions stay as they are.
pub(crate) async fn drop_old_partitions(db: &Db, keep: Duration) -> Result<usize, Error> {
    let keep_secs = keep.as_seconds_f64();
    db.run_tx_quiet("drop_feed_partitions", |tx| {
        Box::pin(async move {
            // Dropping needs the whole feed for a moment: rather later than making readers wait.
            sqlx::query!("set local lock_timeout = '500ms'")
                .execute(tx.conn())
                .await?;
            let pos = sqlx::query_scalar!("select pos from feed_head for update")
                .fetch_one(tx.conn())
                .await?;
            let audited = sqlx::query_scalar!("select feed_pos from audit_head")
                .fetch_one(tx.conn())
                .await?;
            let mut dropped = 0;
            for partition in partitions::list(tx.conn(), "feed").await? {
                let is_needed = partition.to > pos || partition.to > audited + 1;
                if is_needed || !is_old(tx.conn(), partition, keep_secs).await? {
                    break;
                }
                partitions::drop(tx.conn(), "feed", partition).await?;
                sqlx::query!("update feed_head set first_pos = $1", partition.to)
                    .execute(tx.conn())
                    .await?;
                dropped += 1;
            }
            Ok(dropped)
        })
    })
    .await
}

async fn is_old(
    conn: &mut PgConnection,
    partition: Partition,
    keep_secs: f64,
) -> Result<bool, Error> {
    let last = partition.to - 1;
    let is_old = sqlx::query_scalar!(
        r#"select relayed_at < now() - make_interval(secs => $2) as "old!" from feed where pos = $1"#,
        last,
        keep_secs,
    )
    .fetch_optional(conn)
    .await?;
    Ok(is_old.unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(pos: i64, bytes: usize) -> FeedEvent {
        FeedEvent {
            pos,
            event_id: Uuid::nil(),
            aggregate_type: String::new(),
            aggregate_id: String::new(),
            aggregate_version: 1,
            event_type: String::new(),
            payload: vec![0; bytes],
            actor: String::new(),
            traceparent: String::new(),
            channel_id: None,
            location_id: None,
            partner_id: None,
            occurred_at: OffsetDateTime::UNIX_EPOCH,
        }
    }

    fn batch(events: Vec<FeedEvent>) -> Batch {
        Batch {
            epoch: Uuid::nil(),
            from_pos: 0,
            through_pos: 90,
            head_pos: 90,
            events,
        }
    }

    #[test]
    fn a_batch_of_large_events_ends_before_the_one_that_is_too_much() {
        let mib = 1024 * 1024;
        let mut large = batch(vec![event(3, mib), event(7, mib / 2), event(9, mib)]);
        cut_to_size(&mut large);
        assert_eq!((large.events.len(), large.through_pos), (2, 8));
    }

    #[test]
    fn one_event_is_always_delivered() {
        let mut huge = batch(vec![event(5, 3 * 1024 * 1024), event(6, 1)]);
        cut_to_size(&mut huge);
        assert_eq!((huge.events.len(), huge.through_pos), (1, 5));
    }

    #[test]
    fn a_small_batch_covers_all_it_read() {
        let mut small = batch(vec![event(5, 10)]);
        cut_to_size(&mut small);
        assert_eq!((small.events.len(), small.through_pos), (1, 90));
    }
}
