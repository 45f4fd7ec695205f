//! Moves committed events from the outbox to the feed and gives them positions.
//!
//! Why not read the outbox by `seq`: a sequence gives its number before the commit, so a reader that
//! remembers the highest number it saw skips the transactions that commit later. Positions are
//! given here, after the commit, by whoever holds the one row of `feed_head`.

use std::time::Duration;

use metrics::counter;
use sqlx::PgConnection;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::feed::Head;
use crate::{Db, Error, feed, jitter, names};

/// Longest wait after failures.
const RETRY_WAIT_MOST: Duration = Duration::from_secs(5);
/// Most batches moved after shutdown began.
const LAST_BATCHES_MAX: usize = 50;

/// How the relay works.
#[derive(Debug, Clone)]
pub struct RelayConfig {
    /// The guarantee: how often the outbox is looked at when nothing wakes the relay.
    pub poll: Duration,
    /// Most events of one transaction.
    pub batch: i64,
    /// Least time from one transaction to the next, unless there is a whole batch to move: the relay commits beside
    /// those whose events it moves, and every commit waits for the same disk.
    pub spacing: Duration,
    /// Positions of a new partition of the feed.
    pub partition_size: i64,
}

impl Default for RelayConfig {
    fn default() -> Self {
        Self {
            poll: Duration::from_millis(250),
            batch: 1_000,
            spacing: Duration::from_millis(10),
            partition_size: 1_000_000,
        }
    }
}

/// Runs the relay until the token is canceled. Any number of processes may run one: they take turns.
pub fn spawn(db: Db, config: RelayConfig, cancel: CancellationToken) -> JoinHandle<()> {
    tokio::spawn(async move { Relay::new(db, config).run(cancel).await })
}

/// The relay as a value, for tests and tools that move events at a moment of their own.
#[derive(Debug)]
pub struct Relay {
    db: Db,
    config: RelayConfig,
    /// Partitions exist for positions below this one, as far as this relay knows.
    covered: i64,
}

impl Relay {
    /// A relay that has not looked at the database yet.
    pub fn new(db: Db, config: RelayConfig) -> Self {
        Self {
            db,
            config,
            covered: 0,
        }
    }

    /// Moves everything that is committed now; answers how many events.
    pub async fn drain(&mut self) -> Result<u64, Error> {
        let mut total = 0;
        loop {
            match self.step().await? {
                0 => return Ok(total),
                moved => total += moved,
            }
        }
    }

    /// Moves one batch; 0 when nothing is waiting.
    async fn step(&mut self) -> Result<u64, Error> {
        let (head, is_waiting) = self.look().await?;
        self.db.publish_head(head);
        if is_waiting {
            self.move_batch(head).await
        } else {
            Ok(0)
        }
    }

    async fn run(mut self, cancel: CancellationToken) {
        let mut wakes = self.db.relay_wakes();
        let mut failures = 0;
        while !cancel.is_cancelled() {
            wakes.borrow_and_update();
            let wait = match self.step().await {
                Ok(0) => {
                    failures = 0;
                    jitter::of(self.config.poll)
                }
                Ok(moved) if moved >= self.config.batch.unsigned_abs() => continue,
                Ok(_) => {
                    tokio::time::sleep(self.config.spacing).await;
                    continue;
                }
                Err(error) => {
                    failures += 1;
                    tracing::warn!(
                        error = %error,
                        cause = std::error::Error::source(&error).map(tracing::field::display),
                        "relay failed, it tries again"
                    );
                    jitter::backoff(self.config.poll, RETRY_WAIT_MOST, failures)
                }
            };
            tokio::select! {
                () = cancel.cancelled() => {}
                _ = wakes.changed(), if failures == 0 => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        self.finish().await;
    }

    /// What this process committed last should leave with it. Bounded, as other processes may go on
    /// writing; their relays move the rest.
    async fn finish(&mut self) {
        for _ in 0..LAST_BATCHES_MAX {
            match self.step().await {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(error = %error, "events stay in the outbox until the next start");
                    return;
                }
            }
        }
    }

    /// Reads without locking, so that an idle relay writes nothing.
    async fn look(&self) -> Result<(Head, bool), Error> {
        let mut conn = self.db.acquire("look_for_events").await?;
        let row = sqlx::query!(
            // By the index, whose dead entries the next look skips: after a burst the table itself
            // is full of dead rows until vacuum comes.
            r#"select epoch, first_pos, pos,
                      (select seq from outbox order by seq limit 1) is not null as "waiting!"
               from feed_head"#
        )
        .fetch_one(&mut *conn)
        .await?;
        Ok((Head::new(row.epoch, row.first_pos, row.pos), row.waiting))
    }

    async fn move_batch(&mut self, seen: Head) -> Result<u64, Error> {
        let batch = self.config.batch.max(1);
        // Another relay may move on while this one waits for the head: look far enough ahead, and
        // make the next partition when half of the last one is used.
        let ahead = (self.config.partition_size / 2).max(batch * 2);
        if seen.pos.saturating_add(ahead) >= self.covered {
            self.covered =
                feed::ensure_partitions(&self.db, ahead, self.config.partition_size.max(1)).await?;
        }
        let (head, kinds) = self
            .db
            .run_tx_quiet("relay_events", |tx| {
                Box::pin(async move { move_events(tx.conn(), batch).await })
            })
            .await?;
        self.db.publish_head(head);
        let mut moved = 0;
        for Kind { name, count } in kinds {
            let count = count.unsigned_abs();
            counter!(names::RELAY_EVENTS, "service" => self.db.service(), "type" => name)
                .increment(count);
            moved += count;
        }
        Ok(moved)
    }
}

/// How many events of a type were moved.
struct Kind {
    name: String,
    count: i64,
}

/// Three statements on purpose: the second one must take its snapshot after the head is locked,
/// so that it sees everything that the previous holder left.
async fn move_events(conn: &mut PgConnection, batch: i64) -> Result<(Head, Vec<Kind>), Error> {
    let head = sqlx::query_as!(
        Head,
        "select epoch, pos, first_pos from feed_head for update"
    )
    .fetch_one(&mut *conn)
    .await?;
    // The lowest by seq and no SKIP LOCKED: within an aggregate seq is the order of commits.
    let kinds = sqlx::query_as!(
        Kind,
        r#"with moved as (
             delete from outbox where seq in (select seq from outbox order by seq limit $2)
             returning *
         ), fed as (
         insert into feed (pos, event_id, aggregate_type, aggregate_id, aggregate_version,
                           event_type, payload, actor, traceparent, channel_id, location_id,
                           partner_id, occurred_at)
         select $1 + row_number() over (order by seq), event_id, aggregate_type, aggregate_id,
                aggregate_version, event_type, payload, actor, traceparent, channel_id,
                location_id, partner_id, occurred_at
         from moved)
         select event_type as name, count(*) as "count!" from moved group by event_type"#,
        head.pos,
        batch,
    )
    .fetch_all(&mut *conn)
    .await?;
    let moved = kinds.iter().map(|kind| kind.count).sum();
    let pos = head.pos.saturating_add(moved);
    sqlx::query!("update feed_head set pos = $1", pos)
        .execute(conn)
        .await?;
    Ok((Head { pos, ..head }, kinds))
}
