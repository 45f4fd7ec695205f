//! Follow-up work that survives the process: rows, leased by runners.
//!
//! A command inserts a task in its transaction. A [`TaskRunner`] of any replica claims it and runs
//! its handler, which calls peers and opens transactions of its own. The result commits only while
//! the lease is still held: [`Task::finish`] in the handler's last transaction, or by the runner for
//! [`Outcome::Done`]. A handler may run more than once, so everything it does is keyed by the task.

mod lease;
mod runner;

use oms_telemetry::TraceContext;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{Error, scope};

pub use lease::Task;
pub use runner::{RunnerConfig, TaskRunner};

/// A task to insert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTask {
    /// Derived from the cause (`oms_core::derive(event_id, "capture_payment")`): inserting the same
    /// id again does nothing, also for a day after it is done.
    pub id: Uuid,
    /// Which handler runs it, such as `"capture_payment"`.
    pub kind: &'static str,
    /// Id of the aggregate it is about.
    pub key: String,
    /// What the handler needs to know; protobuf bytes or nothing.
    pub payload: Vec<u8>,
    /// Not before this time. The clock's now for at once.
    pub run_at: OffsetDateTime,
    /// Who caused it, such as `user:alice`.
    pub actor: String,
}

/// How a handler ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The runner marks the task done.
    Done,
    /// The handler called [`Task::finish`] in its own transaction.
    AlreadyFinished,
    /// Nothing is wrong, but it is too early: come back then. Earlier failures are forgotten.
    RetryAt(OffsetDateTime),
}

/// How a handler failed. Texts are read by operators: no personal data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TaskError {
    /// Try again with backoff; after the maximum of attempts the task is stuck.
    #[error("{0}")]
    Retry(String),
    /// Trying again cannot help: a person has to look.
    #[error("{0}")]
    Stuck(String),
    /// Another worker has the task: everything was rolled back, drop the result.
    #[error("the lease was lost to another worker")]
    LeaseLost,
}

impl From<Error> for TaskError {
    fn from(error: Error) -> Self {
        match error {
            Error::LeaseLost => Self::LeaseLost,
            other => {
                let cause = std::error::Error::source(&other).map(ToString::to_string);
                Self::Retry(cause.unwrap_or_else(|| other.to_string()))
            }
        }
    }
}

/// A task that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StuckTask {
    /// Id of the task.
    pub id: Uuid,
    /// Which handler could not finish it.
    pub kind: String,
    /// Id of the aggregate it is about.
    pub key: String,
    /// How often it was claimed.
    pub attempt: i32,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// Who caused it.
    pub actor: String,
    /// Since when it has been stuck, by the database's time.
    pub stuck_at: Option<OffsetDateTime>,
}

/// Inserts a task with this transaction; runners are woken after commit. `false` when the id is
/// already there. The current span is stored as its cause.
pub async fn insert(conn: &mut PgConnection, task: &NewTask) -> Result<bool, Error> {
    Ok(insert_all(conn, std::slice::from_ref(task)).await? > 0)
}

/// Inserts tasks with one statement; answers how many were new.
pub async fn insert_all(conn: &mut PgConnection, tasks: &[NewTask]) -> Result<u64, Error> {
    if tasks.is_empty() {
        return Ok(0);
    }
    let trace = TraceContext::current();
    let ids: Vec<Uuid> = tasks.iter().map(|task| task.id).collect();
    let kinds: Vec<&str> = tasks.iter().map(|task| task.kind).collect();
    let keys: Vec<&str> = tasks.iter().map(|task| task.key.as_str()).collect();
    let payloads: Vec<&[u8]> = tasks.iter().map(|task| task.payload.as_slice()).collect();
    let times: Vec<OffsetDateTime> = tasks.iter().map(|task| task.run_at).collect();
    let actors: Vec<&str> = tasks.iter().map(|task| task.actor.as_str()).collect();
    let inserted = sqlx::query!(
        "insert into tasks (id, kind, key, payload, run_at, actor, traceparent)
         select t.id, t.kind, t.key, t.payload, t.run_at, t.actor, $7
         from unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::timestamptz[], $6::text[])
              as t (id, kind, key, payload, run_at, actor)
         on conflict (id) do nothing",
        &ids,
        &kinds as &[&str],
        &keys as &[&str],
        &payloads as &[&[u8]],
        &times,
        &actors as &[&str],
        trace.as_str(),
    )
    .execute(conn)
    .await?
    .rows_affected();
    if inserted > 0 {
        scope::note_tasks();
    }
    Ok(inserted)
}

/// Stuck tasks by id, after the last one of the page before.
pub async fn stuck(
    conn: &mut PgConnection,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<StuckTask>, Error> {
    let rows = sqlx::query_as!(
        StuckTask,
        "select id, kind, key, attempt, last_error, actor, ended_at as stuck_at from tasks
         where state = 'STUCK' and id > $1 order by id limit $2",
        after.unwrap_or_default(),
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

/// Gives a stuck task another full round of attempts. `false` when it is not stuck.
pub async fn retry(conn: &mut PgConnection, id: Uuid) -> Result<bool, Error> {
    // run_at is the past moment at which it got stuck, so it is due at once.
    let changed = sqlx::query!(
        "update tasks set state = 'READY', failures = 0, ended_at = null
         where id = $1 and state = 'STUCK'",
        id,
    )
    .execute(conn)
    .await?
    .rows_affected();
    if changed > 0 {
        scope::note_tasks();
    }
    Ok(changed > 0)
}

/// Gives a stuck task up: a person decided that it need not run. `false` when it is not stuck.
pub async fn skip(conn: &mut PgConnection, id: Uuid) -> Result<bool, Error> {
    let changed = sqlx::query!(
        "update tasks set state = 'DONE', ended_at = now() where id = $1 and state = 'STUCK'",
        id,
    )
    .execute(conn)
    .await?
    .rows_affected();
    Ok(changed > 0)
}
