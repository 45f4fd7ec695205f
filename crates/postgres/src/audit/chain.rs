//! Chains what was done, after it was committed.
//!
//! Why not in the transactions: each would have to wait for the hash of the one before it, so that only one could
//! commit at a time. Numbers are given here by whoever holds the one row of `audit_head`, as the relay does for the feed.

use std::time::Duration;

use metrics::counter;
use serde::Deserialize;
use sqlx::PgConnection;
use time::OffsetDateTime;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::entry::{Entry, Hash, Kind};
use super::list::{Head, hash_of, head};
use crate::partitions::{self, Partition};
use crate::{Db, Error, jitter, names};

const TABLE: &str = "audit_log";
/// Longest wait after failures.
const RETRY_WAIT_MOST: Duration = Duration::from_secs(30);

/// What an operator decides about the log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuditConfig {
    /// Days after which parts of the log whose every row is older are dropped. Default 0: nothing ever is.
    pub keep_days: u32,
}

impl AuditConfig {
    /// How long rows are kept; for ever if `None`.
    pub fn keep(&self) -> Option<time::Duration> {
        (self.keep_days > 0).then(|| time::Duration::days(i64::from(self.keep_days)))
    }
}

/// How the auditor works.
#[derive(Debug, Clone)]
pub struct AuditorConfig {
    /// How often it looks. Rarely: it commits beside those whose work it chains, and nobody waits for it.
    pub poll: Duration,
    /// Most calls, and most events, of one transaction.
    pub batch: i64,
    /// How often the end of the chain is told in the log, for witnesses outside of the database.
    pub checkpoint: Duration,
    /// Rows of a new partition.
    pub partition_size: i64,
}

impl Default for AuditorConfig {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(1),
            batch: 2_000,
            checkpoint: Duration::from_mins(5),
            partition_size: 1_000_000,
        }
    }
}

/// Runs the auditor until the token is canceled. Any number of processes may run one: they take turns.
pub fn spawn(db: Db, config: AuditorConfig, cancel: CancellationToken) -> JoinHandle<()> {
    tokio::spawn(async move { Auditor::new(db, config).run(cancel).await })
}

/// The auditor as a value, for tests and tools that chain at a moment of their own.
#[derive(Debug)]
pub struct Auditor {
    db: Db,
    config: AuditorConfig,
    /// Partitions exist for numbers below this one, as far as this auditor knows.
    covered: i64,
    /// Number that was told last.
    told: i64,
}

impl Auditor {
    /// An auditor that has not looked at the database yet.
    pub fn new(db: Db, config: AuditorConfig) -> Self {
        Self {
            db,
            config,
            covered: 0,
            told: 0,
        }
    }

    /// Chains everything that is committed now; answers how many rows.
    pub async fn drain(&mut self) -> Result<u64, Error> {
        let mut total = 0;
        loop {
            match self.step().await? {
                0 => return Ok(total),
                chained => total += chained,
            }
        }
    }

    async fn run(mut self, cancel: CancellationToken) {
        let mut failures = 0;
        let mut checkpoint_at = Instant::now() + jitter::of(self.config.checkpoint);
        while !cancel.is_cancelled() {
            if Instant::now() >= checkpoint_at {
                checkpoint_at = Instant::now() + self.config.checkpoint;
                self.checkpoint().await;
            }
            let wait = match self.step().await {
                Ok(chained) if chained >= self.config.batch.unsigned_abs() => continue,
                Ok(_) => {
                    failures = 0;
                    jitter::of(self.config.poll)
                }
                Err(error) => {
                    failures += 1;
                    tracing::warn!(
                        error = %error,
                        cause = std::error::Error::source(&error).map(tracing::field::display),
                        "what was done could not be chained, it is tried again"
                    );
                    jitter::backoff(self.config.poll, RETRY_WAIT_MOST, failures)
                }
            };
            tokio::select! {
                () = cancel.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        self.checkpoint().await;
    }

    /// Tells where the chain ends, unless it ended there the last time.
    async fn checkpoint(&mut self) {
        let found = match self.db.acquire("audit_checkpoint").await {
            Ok(mut conn) => head(&mut conn).await,
            Err(error) => Err(error),
        };
        match found {
            Ok(head) if head.seq == self.told => {}
            Ok(head) => {
                self.told = head.seq;
                let hash = hex::encode(head.hash);
                let service = self.db.service();
                tracing::info!(%service, seq = head.seq, hash, epoch = %head.epoch, "audit checkpoint");
            }
            Err(error) => tracing::debug!(error = %error, "no audit checkpoint"),
        }
    }

    /// Chains one batch; 0 when nothing is waiting.
    async fn step(&mut self) -> Result<u64, Error> {
        let (seq, is_waiting) = self.look().await?;
        if !is_waiting {
            return Ok(0);
        }
        let batch = self.config.batch.max(1);
        let ahead = (self.config.partition_size / 2).max(batch * 4);
        if seq.saturating_add(ahead) >= self.covered {
            let size = self.config.partition_size.max(1);
            self.covered = ensure_partitions(&self.db, ahead, size).await?;
        }
        let chained = self
            .db
            .run_tx_quiet("chain_audit", |tx| {
                Box::pin(async move { chain(tx.conn(), batch).await })
            })
            .await?;
        counter!(names::AUDIT_ROWS, "service" => self.db.service()).increment(chained);
        Ok(chained)
    }

    /// Reads without locking, so that an idle auditor writes nothing.
    async fn look(&self) -> Result<(i64, bool), Error> {
        let mut conn = self.db.acquire("look_for_audit").await?;
        let row = sqlx::query!(
            r#"select seq, (select seq from audit_pending order by seq limit 1) is not null
                      or feed_pos < (select pos from feed_head) as "waiting!"
               from audit_head"#
        )
        .fetch_one(&mut *conn)
        .await?;
        Ok((row.seq, row.waiting))
    }
}

/// A row before it is chained.
struct Pending {
    kind: Kind,
    at: OffsetDateTime,
    principal: String,
    method: String,
    object_type: String,
    object_id: String,
    object_version: i64,
    content_hash: Hash,
    reason: String,
    entry_id: Uuid,
    traceparent: String,
}

/// The head is locked by a statement of its own, so that the next ones see everything that the previous holder left.
async fn chain(conn: &mut PgConnection, batch: i64) -> Result<u64, Error> {
    let head =
        sqlx::query!(r#"select seq, hash, feed_pos, now() as "now!" from audit_head for update"#)
            .fetch_one(&mut *conn)
            .await?;
    let epoch = sqlx::query_scalar!("select epoch from feed_head")
        .fetch_one(&mut *conn)
        .await?;
    let mut pending = calls(conn, batch).await?;
    let feed_pos = changes(conn, head.feed_pos, batch, &mut pending).await?;
    pending.sort_by_key(|one| one.at);
    let (mut seq, mut prev) = (head.seq, hash_of(&head.hash));
    let mut rows = Rows::default();
    for one in pending {
        seq += 1;
        let entry = one.numbered(seq, epoch, head.now);
        prev = entry.hash(&prev);
        rows.push(entry, prev);
    }
    let chained = rows.insert(conn, epoch, head.now).await?;
    sqlx::query!(
        "update audit_head set seq = $1, hash = $2, feed_pos = $3",
        seq,
        prev.as_slice(),
        feed_pos,
    )
    .execute(conn)
    .await?;
    Ok(chained)
}

/// Takes calls that wait, the oldest first.
async fn calls(conn: &mut PgConnection, batch: i64) -> Result<Vec<Pending>, Error> {
    let mut rows = sqlx::query!(
        "delete from audit_pending where seq in (select seq from audit_pending order by seq limit $1)
         returning seq, principal, method, object_id, content_hash, reason, request_id, traceparent, at",
        batch,
    )
    .fetch_all(conn)
    .await?;
    rows.sort_unstable_by_key(|row| row.seq);
    let calls = rows.into_iter().map(|row| Pending {
        kind: Kind::Call,
        at: row.at,
        principal: row.principal,
        method: row.method,
        object_type: String::new(),
        object_id: row.object_id,
        object_version: 0,
        content_hash: hash_of(&row.content_hash),
        reason: row.reason,
        entry_id: row.request_id,
        traceparent: row.traceparent,
    });
    Ok(calls.collect())
}

/// Adds the next events of the feed; answers the position of the last one.
async fn changes(
    conn: &mut PgConnection,
    after_pos: i64,
    batch: i64,
    pending: &mut Vec<Pending>,
) -> Result<i64, Error> {
    let rows = sqlx::query!(
        r#"select pos, occurred_at, actor, event_type, aggregate_type, aggregate_id, aggregate_version,
                  sha256(payload) as "content_hash!", event_id, traceparent
           from feed where pos > $1 order by pos limit $2"#,
        after_pos,
        batch,
    )
    .fetch_all(conn)
    .await?;
    let feed_pos = rows.last().map_or(after_pos, |row| row.pos);
    pending.extend(rows.into_iter().map(|row| Pending {
        kind: Kind::Change,
        at: row.occurred_at,
        principal: row.actor,
        method: row.event_type,
        object_type: row.aggregate_type,
        object_id: row.aggregate_id,
        object_version: row.aggregate_version,
        content_hash: hash_of(&row.content_hash),
        reason: String::new(),
        entry_id: row.event_id,
        traceparent: row.traceparent,
    }));
    Ok(feed_pos)
}

impl Pending {
    fn numbered(self, seq: i64, epoch: Uuid, recorded_at: OffsetDateTime) -> Entry {
        Entry {
            seq,
            epoch,
            kind: self.kind,
            at: self.at,
            principal: self.principal,
            method: self.method,
            object_type: self.object_type,
            object_id: self.object_id,
            object_version: self.object_version,
            content_hash: self.content_hash,
            reason: self.reason,
            entry_id: self.entry_id,
            traceparent: self.traceparent,
            recorded_at,
        }
    }
}

/// Chained rows, column by column.
#[derive(Default)]
struct Rows {
    seqs: Vec<i64>,
    kinds: Vec<&'static str>,
    times: Vec<OffsetDateTime>,
    principals: Vec<String>,
    methods: Vec<String>,
    object_types: Vec<String>,
    object_ids: Vec<String>,
    versions: Vec<i64>,
    content_hashes: Vec<Vec<u8>>,
    reasons: Vec<String>,
    entry_ids: Vec<Uuid>,
    traces: Vec<String>,
    hashes: Vec<Vec<u8>>,
}

impl Rows {
    fn push(&mut self, entry: Entry, hash: Hash) {
        self.seqs.push(entry.seq);
        self.kinds.push(entry.kind.as_str());
        self.times.push(entry.at);
        self.principals.push(entry.principal);
        self.methods.push(entry.method);
        self.object_types.push(entry.object_type);
        self.object_ids.push(entry.object_id);
        self.versions.push(entry.object_version);
        self.content_hashes.push(entry.content_hash.to_vec());
        self.reasons.push(entry.reason);
        self.entry_ids.push(entry.entry_id);
        self.traces.push(entry.traceparent);
        self.hashes.push(hash.to_vec());
    }

    async fn insert(
        &self,
        conn: &mut PgConnection,
        epoch: Uuid,
        recorded_at: OffsetDateTime,
    ) -> Result<u64, Error> {
        let inserted = sqlx::query!(
            "insert into audit_log (seq, epoch, kind, at, principal, method, object_type, object_id,
                                    object_version, content_hash, reason, entry_id, traceparent, hash,
                                    recorded_at)
             select r.seq, $1, r.kind, r.at, r.principal, r.method, r.object_type, r.object_id,
                    r.object_version, r.content_hash, r.reason, r.entry_id, r.traceparent, r.hash,
                    $15
             from unnest($2::bigint[], $3::text[], $4::timestamptz[], $5::text[], $6::text[], $7::text[],
                         $8::text[], $9::bigint[], $10::bytea[], $11::text[], $12::uuid[], $13::text[],
                         $14::bytea[])
                  as r (seq, kind, at, principal, method, object_type, object_id, object_version,
                        content_hash, reason, entry_id, traceparent, hash)",
            epoch,
            &self.seqs,
            &self.kinds as &[&str],
            &self.times,
            &self.principals,
            &self.methods,
            &self.object_types,
            &self.object_ids,
            &self.versions,
            &self.content_hashes,
            &self.reasons,
            &self.entry_ids,
            &self.traces,
            &self.hashes,
            recorded_at,
        )
        .execute(conn)
        .await?
        .rows_affected();
        Ok(inserted)
    }
}

/// Makes sure that there are partitions for the next `ahead` rows; answers the number up to which (excluded) there are.
async fn ensure_partitions(db: &Db, ahead: i64, size: i64) -> Result<i64, Error> {
    db.run_tx_quiet("ensure_audit_partitions", |tx| {
        Box::pin(async move {
            let seq = sqlx::query_scalar!("select seq from audit_head for update")
                .fetch_one(tx.conn())
                .await?;
            let kept = partitions::list(tx.conn(), TABLE).await?;
            let through = seq.saturating_add(ahead);
            let covered = partitions::cover(tx.conn(), TABLE, (seq, through), size).await?;
            for made in partitions::list(tx.conn(), TABLE).await? {
                if !kept.contains(&made) {
                    refuse_truncate(tx.conn(), made).await?;
                }
            }
            Ok(covered)
        })
    })
    .await
}

/// Triggers per row come with the table that a partition is attached to; this one does not.
async fn refuse_truncate(conn: &mut PgConnection, partition: Partition) -> Result<(), Error> {
    let sql = format!(
        "create trigger audit_log_no_truncate before truncate on {TABLE}_{} \
         for each statement execute function audit_log_refuse()",
        partition.from
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
        .execute(conn)
        .await?;
    Ok(())
}

/// Drops the partitions whose every row was chained more than `keep` ago, except the one that is being filled, and
/// writes down what the rest is anchored to; answers how many.
pub(crate) async fn drop_old_partitions(db: &Db, keep: time::Duration) -> Result<usize, Error> {
    let keep_secs = keep.as_seconds_f64();
    db.run_tx_quiet("drop_audit_partitions", |tx| {
        Box::pin(async move {
            // Dropping needs the whole log for a moment: rather later than making readers wait.
            sqlx::query!("set local lock_timeout = '500ms'")
                .execute(tx.conn())
                .await?;
            let seq = sqlx::query_scalar!("select seq from audit_head for update")
                .fetch_one(tx.conn())
                .await?;
            let mut dropped = 0;
            for partition in partitions::list(tx.conn(), TABLE).await? {
                if partition.to > seq {
                    break;
                }
                let anchored = sqlx::query!(
                    "update audit_head set first_seq = $1, first_prev_hash = l.hash
                     from audit_log l
                     where l.seq = $1::bigint - 1 and l.recorded_at < now() - make_interval(secs => $2)",
                    partition.to,
                    keep_secs,
                );
                if anchored.execute(tx.conn()).await?.rows_affected() == 0 {
                    break;
                }
                partitions::drop(tx.conn(), TABLE, partition).await?;
                dropped += 1;
            }
            Ok(dropped)
        })
    })
    .await
}

/// Calls and events that wait to be chained, counted up to 10 000 each, and where the chain ends.
pub(crate) async fn pending(conn: &mut PgConnection) -> Result<(i64, Head), Error> {
    let waiting = sqlx::query_scalar!(
        r#"select (select count(*) from (select from audit_pending limit 10000) p)
                  + least((select pos from feed_head) - feed_pos, 10000) as "waiting!"
           from audit_head"#
    )
    .fetch_one(&mut *conn)
    .await?;
    Ok((waiting, head(conn).await?))
}
