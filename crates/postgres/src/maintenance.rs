//! Retention and gauges, off the hot path.

use std::time::Duration;

use metrics::gauge;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{Db, Error, audit, feed, jitter, names};

/// Rows deleted by one statement, so that no lock is held for long.
const DELETE_BATCH: i64 = 5_000;

/// What is kept for how long. Ages are by the database's time.
#[derive(Debug, Clone)]
pub struct MaintenanceConfig {
    /// How often retention runs.
    pub interval: Duration,
    /// How often gauges are read.
    pub gauges: Duration,
    /// How long a request id is remembered.
    pub idempotency_keep: time::Duration,
    /// How long a done task makes a repeat of its id a no-op.
    pub tasks_done_keep: time::Duration,
    /// How long events can be replayed.
    pub feed_keep: time::Duration,
    /// How long rows of the audit log are kept; for ever if `None`.
    pub audit_keep: Option<time::Duration>,
}

impl Default for MaintenanceConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_mins(10),
            gauges: Duration::from_secs(15),
            idempotency_keep: time::Duration::days(7),
            tasks_done_keep: time::Duration::days(1),
            feed_keep: time::Duration::days(30),
            audit_keep: None,
        }
    }
}

/// What one run of retention removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    /// Request ids.
    pub request_ids: u64,
    /// Done tasks.
    pub tasks: u64,
    /// Partitions of the feed.
    pub partitions: usize,
    /// Partitions of the audit log.
    pub audit_partitions: usize,
}

/// Runs retention and reads gauges until the token is canceled.
pub fn spawn(db: Db, config: MaintenanceConfig, cancel: CancellationToken) -> JoinHandle<()> {
    tokio::spawn(async move {
        // The first run comes late: many processes start at the same moment.
        let mut next_run = tokio::time::Instant::now() + jitter::of(config.interval);
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(jitter::of(config.gauges)) => {}
            }
            if let Err(error) = read_gauges(&db).await {
                tracing::debug!(error = %error, "gauges could not be read");
            }
            if tokio::time::Instant::now() < next_run {
                continue;
            }
            next_run = tokio::time::Instant::now() + jitter::of(config.interval);
            match run_once(&db, &config).await {
                Ok(removed) => tracing::debug!(?removed, "retention ran"),
                Err(error) => {
                    tracing::warn!(error = %error, "retention failed, it tries again later");
                }
            }
        }
    })
}

/// Removes what is too old, in batches.
pub async fn run_once(db: &Db, config: &MaintenanceConfig) -> Result<Removed, Error> {
    let mut removed = Removed::default();
    loop {
        let count = forget_request_ids(db, config.idempotency_keep).await?;
        removed.request_ids += count;
        if count < DELETE_BATCH.unsigned_abs() {
            break;
        }
    }
    loop {
        let count = forget_done_tasks(db, config.tasks_done_keep).await?;
        removed.tasks += count;
        if count < DELETE_BATCH.unsigned_abs() {
            break;
        }
    }
    removed.partitions = feed::drop_old_partitions(db, config.feed_keep).await?;
    if let Some(keep) = config.audit_keep {
        removed.audit_partitions = audit::drop_old_partitions(db, keep).await?;
    }
    Ok(removed)
}

async fn forget_request_ids(db: &Db, keep: time::Duration) -> Result<u64, Error> {
    let mut conn = db.acquire("forget_request_ids").await?;
    // Locked rows are left for the next run, so two processes do not wait for each other.
    let deleted = sqlx::query!(
        "delete from idempotency where (principal, method, request_id) in (
             select principal, method, request_id from idempotency
             where created_at < now() - make_interval(secs => $1)
             order by created_at limit $2 for update skip locked)",
        keep.as_seconds_f64(),
        DELETE_BATCH,
    )
    .execute(&mut *conn)
    .await?;
    Ok(deleted.rows_affected())
}

async fn forget_done_tasks(db: &Db, keep: time::Duration) -> Result<u64, Error> {
    let mut conn = db.acquire("forget_done_tasks").await?;
    let deleted = sqlx::query!(
        "delete from tasks where id in (
             select id from tasks
             where state = 'DONE' and ended_at < now() - make_interval(secs => $1)
             order by ended_at limit $2 for update skip locked)",
        keep.as_seconds_f64(),
        DELETE_BATCH,
    )
    .execute(&mut *conn)
    .await?;
    Ok(deleted.rows_affected())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "gauges are floating point, and counts are small"
)]
async fn read_gauges(db: &Db) -> Result<(), Error> {
    let now = db.clock().now();
    let mut conn = db.acquire("read_gauges").await?;
    // Every count stops at 10 000: what matters is whether it is near zero.
    let row = sqlx::query!(
        r#"select
             (select count(*) from (select from outbox limit 10000) o) as "outbox!",
             (select occurred_at from outbox order by seq limit 1) as waiting_since,
             (select pos from feed_head) as "head!",
             (select count(*) from (select from parked_events limit 10000) p) as "parked!",
             (select count(*) from (select from tasks where state = 'READY' and run_at <= $1
                                    limit 10000) r) as "ready!",
             (select count(*) from (select from tasks where state = 'STUCK' limit 10000) s)
                 as "stuck!",
             (select min(run_at) from tasks where state = 'READY') as oldest"#,
        now,
    )
    .fetch_one(&mut *conn)
    .await?;
    let (audit_pending, audit_head) = audit::pending(&mut conn).await?;
    let cursors =
        sqlx::query!(r#"select source, min(pos) as "pos!" from feed_cursors group by source"#)
            .fetch_all(&mut *conn)
            .await?;
    drop(conn);
    let age = |since: Option<time::OffsetDateTime>| {
        since.map_or(0.0, |since| (now - since).as_seconds_f64().max(0.0))
    };
    let service = db.service();
    for cursor in cursors {
        gauge!(names::FEED_CURSOR, "service" => service.clone(), "source" => cursor.source)
            .set(cursor.pos as f64);
    }
    gauge!(names::OUTBOX_DEPTH, "service" => service.clone()).set(row.outbox as f64);
    gauge!(names::OUTBOX_OLDEST, "service" => service.clone()).set(age(row.waiting_since));
    gauge!(names::FEED_HEAD, "service" => service.clone()).set(row.head as f64);
    gauge!(names::AUDIT_PENDING, "service" => service.clone()).set(audit_pending as f64);
    gauge!(names::AUDIT_HEAD, "service" => service.clone()).set(audit_head.seq as f64);
    gauge!(names::PARKED_EVENTS, "service" => service.clone()).set(row.parked as f64);
    gauge!(names::TASKS_READY, "service" => service.clone()).set(row.ready as f64);
    gauge!(names::TASKS_STUCK, "service" => service.clone()).set(row.stuck as f64);
    gauge!(names::TASKS_OLDEST, "service" => service.clone()).set(age(row.oldest));
    let (idle, all, most) = db.pool_use();
    gauge!(names::POOL_CONNECTIONS, "service" => service.clone(), "state" => "idle")
        .set(f64::from(idle));
    gauge!(names::POOL_CONNECTIONS, "service" => service.clone(), "state" => "used")
        .set(f64::from(all.saturating_sub(idle)));
    gauge!(names::POOL_MAX, "service" => service).set(f64::from(most));
    Ok(())
}
