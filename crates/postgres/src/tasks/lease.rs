//! Claiming tasks, and writing results that only the holder of the lease may write.

use std::time::Duration;

use oms_telemetry::TraceContext;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Error;

/// A claimed task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Id of the task; the namespace for request ids of the calls it makes.
    pub id: Uuid,
    /// Which handler runs it.
    pub kind: String,
    /// Id of the aggregate it is about.
    pub key: String,
    /// What was given at insertion.
    pub payload: Vec<u8>,
    /// Counts claims from 1 and never falls, also over crashes.
    pub attempt: i32,
    /// Claims in a row without success, this one included.
    pub failures: i32,
    /// Who caused it, such as `user:alice`.
    pub actor: String,
    /// Span that caused it. The runner already continues it; store it with effects if needed.
    pub trace: TraceContext,
    /// When it was inserted, by the database's time.
    pub created_at: OffsetDateTime,
    holder: Uuid,
}

impl Task {
    /// Marks the task done in the handler's own transaction, so that its effect and its end commit
    /// together. Then answer [`super::Outcome::AlreadyFinished`].
    ///
    /// # Errors
    /// [`Error::LeaseLost`] when another worker has it: let the error roll the transaction back.
    pub async fn finish(&self, conn: &mut PgConnection) -> Result<(), Error> {
        let changed = sqlx::query!(
            "update tasks set state = 'DONE', ended_at = now(), lease_holder = null, failures = 0,
                    last_error = null
             where id = $1 and lease_holder = $2 and attempt = $3 and state = 'READY'",
            self.id,
            self.holder,
            self.attempt,
        )
        .execute(conn)
        .await?
        .rows_affected();
        held(changed)
    }

    /// Gives the task back until then, without counting a failure.
    pub(super) async fn postpone(
        &self,
        conn: &mut PgConnection,
        until: OffsetDateTime,
    ) -> Result<(), Error> {
        let changed = sqlx::query!(
            "update tasks set run_at = $4, lease_holder = null, failures = 0, last_error = null
             where id = $1 and lease_holder = $2 and attempt = $3 and state = 'READY'",
            self.id,
            self.holder,
            self.attempt,
            until,
        )
        .execute(conn)
        .await?
        .rows_affected();
        held(changed)
    }

    /// Gives the task back for another attempt after a failure.
    pub(super) async fn fail(
        &self,
        conn: &mut PgConnection,
        until: OffsetDateTime,
        error: &str,
    ) -> Result<(), Error> {
        let changed = sqlx::query!(
            "update tasks set run_at = $4, lease_holder = null, last_error = $5
             where id = $1 and lease_holder = $2 and attempt = $3 and state = 'READY'",
            self.id,
            self.holder,
            self.attempt,
            until,
            error,
        )
        .execute(conn)
        .await?
        .rows_affected();
        held(changed)
    }

    /// Leaves the task to a person.
    pub(super) async fn give_up(
        &self,
        conn: &mut PgConnection,
        now: OffsetDateTime,
        error: &str,
    ) -> Result<(), Error> {
        let changed = sqlx::query!(
            "update tasks set state = 'STUCK', ended_at = now(), run_at = $4, lease_holder = null,
                    last_error = $5
             where id = $1 and lease_holder = $2 and attempt = $3 and state = 'READY'",
            self.id,
            self.holder,
            self.attempt,
            now,
            error,
        )
        .execute(conn)
        .await?
        .rows_affected();
        held(changed)
    }
}

fn held(rows: u64) -> Result<(), Error> {
    if rows == 0 {
        Err(Error::LeaseLost)
    } else {
        Ok(())
    }
}

/// What a runner wants to claim.
pub(super) struct Claim<'a> {
    pub(super) holder: Uuid,
    /// Kinds that it has handlers for.
    pub(super) kinds: &'a [String],
    /// Tasks that it still works on. If renewal failed, their leases may have ended, but running
    /// them beside themselves would help nobody: the next renewal gets them back.
    pub(super) except: &'a [Uuid],
    pub(super) now: OffsetDateTime,
    pub(super) lease: Duration,
    pub(super) limit: i64,
}

/// Leases due tasks, the longest due first.
pub(super) async fn claim(conn: &mut PgConnection, claim: &Claim<'_>) -> Result<Vec<Task>, Error> {
    let rows = sqlx::query!(
        "with due as materialized (
             select id from tasks
             where state = 'READY' and run_at <= $3 and kind = any($2) and id <> all($6)
             order by run_at limit $5 for update skip locked
         )
         update tasks t
         set lease_holder = $1, run_at = $4, attempt = t.attempt + 1, failures = t.failures + 1
         from due where t.id = due.id
         returning t.id, t.kind, t.key, t.payload, t.attempt, t.failures, t.actor, t.traceparent,
                   t.created_at",
        claim.holder,
        claim.kinds,
        claim.now,
        claim.now + claim.lease,
        claim.limit,
        claim.except,
    )
    .fetch_all(conn)
    .await?;
    let tasks = rows.into_iter().map(|row| Task {
        id: row.id,
        kind: row.kind,
        key: row.key,
        payload: row.payload,
        attempt: row.attempt,
        failures: row.failures,
        actor: row.actor,
        trace: TraceContext::parse(&row.traceparent),
        created_at: row.created_at,
        holder: claim.holder,
    });
    Ok(tasks.collect())
}

/// Moves the end of the leases that are still held.
pub(super) async fn renew(
    conn: &mut PgConnection,
    holder: Uuid,
    running: &[(Uuid, i32)],
    until: OffsetDateTime,
) -> Result<(), Error> {
    let (ids, attempts): (Vec<Uuid>, Vec<i32>) = running.iter().copied().unzip();
    sqlx::query!(
        "update tasks t set run_at = $4
         from unnest($2::uuid[], $3::integer[]) as r (id, attempt)
         where t.id = r.id and t.attempt = r.attempt and t.lease_holder = $1 and t.state = 'READY'",
        holder,
        &ids,
        &attempts,
        until,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Gives tasks back whose handlers were stopped by a shutdown: at once, and without a failure.
pub(super) async fn release(
    conn: &mut PgConnection,
    holder: Uuid,
    running: &[(Uuid, i32)],
    now: OffsetDateTime,
) -> Result<(), Error> {
    let (ids, attempts): (Vec<Uuid>, Vec<i32>) = running.iter().copied().unzip();
    sqlx::query!(
        "update tasks t set run_at = $4, lease_holder = null, failures = greatest(t.failures - 1, 0)
         from unnest($2::uuid[], $3::integer[]) as r (id, attempt)
         where t.id = r.id and t.attempt = r.attempt and t.lease_holder = $1 and t.state = 'READY'",
        holder,
        &ids,
        &attempts,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}
