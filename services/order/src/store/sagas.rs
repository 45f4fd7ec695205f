//! Sagas and their step ledger.

use oms_core::OrderId;
use oms_telemetry::TraceContext;
use sqlx::PgConnection;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::saga::{Saga, SagaState, Step, UndoTo};
use crate::domain::sourcing::Proposal;

use super::StoreError;

/// A claim on a saga: who may write its results, and until when nobody else claims it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lease {
    /// Who.
    pub(crate) holder: Uuid,
    /// Until when.
    pub(crate) until: OffsetDateTime,
}

/// An entry of the step ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LedgerEntry<'a> {
    /// Step.
    pub(crate) step: Step,
    /// STARTED, SUCCEEDED, FAILED, `UNDO_STARTED`, UNDONE or `UNDO_FAILED`.
    pub(crate) outcome: &'static str,
    /// Details for people.
    pub(crate) detail: &'a str,
}

/// Writes a new saga, claimed at once when there is a lease.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    saga: &Saga,
    lease: Option<Lease>,
) -> Result<(), StoreError> {
    let trace = TraceContext::current();
    sqlx::query!(
        "WITH made AS (
             INSERT INTO sagas (order_id, step, state, lease_holder, lease_until, attempt, next_run_at,
                 expires_at, traceparent, started_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10) RETURNING order_id)
         INSERT INTO saga_steps (order_id, step, attempt, outcome, recorded_at, trace_id, linked_trace_id)
         SELECT order_id, $2, $6, 'STARTED', $10, $11, $12 FROM made",
        saga.order_id.uuid(),
        saga.step.as_str(),
        saga.state.as_str(),
        lease.map(|lease| lease.holder),
        lease.map(|lease| lease.until),
        saga.attempt,
        lease.map_or(saga.next_run_at, |lease| lease.until),
        saga.expires_at,
        saga.traceparent,
        saga.started_at,
        trace.trace_id().unwrap_or_default(),
        oms_telemetry::linked_trace_id(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Claims due sagas that nobody works on, the longest due first, and stuck ones whose orders have expired before their
/// pivot: those need no person any more. One that is stuck in its undoing does.
pub(crate) async fn claim_due(
    conn: &mut PgConnection,
    lease: Lease,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<Saga>, StoreError> {
    let rows = sqlx::query_as!(
        SagaRow,
        r#"WITH due AS MATERIALIZED (
             SELECT order_id FROM sagas
             WHERE state IN ('RUNNING', 'WAITING', 'UNDOING') AND next_run_at <= $3
             ORDER BY next_run_at LIMIT $4 FOR UPDATE SKIP LOCKED),
         expired AS MATERIALIZED (
             SELECT order_id FROM sagas
             WHERE state = 'STUCK' AND undo_to = '' AND step NOT IN ('confirm', 'release')
                 AND expires_at <= $3 AND next_run_at <= $3
             ORDER BY expires_at LIMIT greatest($4 - (SELECT count(*) FROM due), 0) FOR UPDATE SKIP LOCKED)
         UPDATE sagas SET lease_holder = $1, lease_until = $2, next_run_at = $2,
             attempt = attempt + 1, updated_at = $3
         WHERE order_id = ANY (ARRAY(SELECT order_id FROM due UNION ALL SELECT order_id FROM expired))
         RETURNING order_id, step, state, undo_to, undo_reason, attempt, failures, next_run_at,
             cancel_requested, signals, reservation_attempt, reservation_expires_at, reserved_at,
             proposal AS "proposal: Json<Proposal>", last_error, stuck_since, expires_at,
             traceparent, started_at"#,
        lease.holder,
        lease.until,
        now,
        limit
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Saga::try_from).collect()
}

/// Reads a saga, unless `holder` has lost it to another claim.
pub(crate) async fn load_claimed(
    conn: &mut PgConnection,
    order_id: OrderId,
    holder: Uuid,
    attempt: i32,
) -> Result<Option<Saga>, StoreError> {
    let row = sqlx::query_as!(
        SagaRow,
        r#"SELECT order_id, step, state, undo_to, undo_reason, attempt, failures, next_run_at,
             cancel_requested, signals, reservation_attempt, reservation_expires_at, reserved_at,
             proposal AS "proposal: Json<Proposal>", last_error, stuck_since, expires_at,
             traceparent, started_at
         FROM sagas WHERE order_id = $1 AND lease_holder = $2 AND attempt = $3"#,
        order_id.uuid(),
        holder,
        attempt
    )
    .fetch_optional(conn)
    .await?;
    row.map(Saga::try_from).transpose()
}

/// Reads a saga.
pub(crate) async fn load(
    conn: &mut PgConnection,
    order_id: OrderId,
) -> Result<Option<Saga>, StoreError> {
    let row = sqlx::query_as!(
        SagaRow,
        r#"SELECT order_id, step, state, undo_to, undo_reason, attempt, failures, next_run_at,
             cancel_requested, signals, reservation_attempt, reservation_expires_at, reserved_at,
             proposal AS "proposal: Json<Proposal>", last_error, stuck_since, expires_at,
             traceparent, started_at
         FROM sagas WHERE order_id = $1"#,
        order_id.uuid()
    )
    .fetch_optional(conn)
    .await?;
    row.map(Saga::try_from).transpose()
}

/// Writes a result: the saga as it is now, and what the ledger says. The lease goes on when there is
/// one, else it is given back. False, and nothing written, when `holder` has lost the saga to another
/// claim.
pub(crate) async fn advance(
    conn: &mut PgConnection,
    saga: &Saga,
    holder: Uuid,
    keep: Option<Lease>,
    ledger: &[LedgerEntry<'_>],
    now: OffsetDateTime,
) -> Result<bool, StoreError> {
    let trace = TraceContext::current();
    let steps: Vec<String> = ledger
        .iter()
        .map(|entry| entry.step.as_str().to_owned())
        .collect();
    let outcomes: Vec<String> = ledger
        .iter()
        .map(|entry| entry.outcome.to_owned())
        .collect();
    let details: Vec<String> = ledger.iter().map(|entry| entry.detail.to_owned()).collect();
    let moved = sqlx::query_scalar!(
        r#"WITH moved AS (
             UPDATE sagas SET step = $4, state = $5, undo_to = $6, undo_reason = $7, failures = $8,
                 next_run_at = $9, lease_holder = $10, lease_until = $11, reservation_attempt = $12,
                 reservation_expires_at = $13, reserved_at = $14, proposal = $15, last_error = $16,
                 stuck_since = $17, updated_at = $18
             WHERE order_id = $1 AND lease_holder = $2 AND attempt = $3
             RETURNING order_id),
         noted AS (
             INSERT INTO saga_steps (order_id, step, attempt, outcome, detail, recorded_at, trace_id, linked_trace_id)
             SELECT moved.order_id, l.step, $3, l.outcome, l.detail, $18, $22, $23
             FROM moved CROSS JOIN unnest($19::text[], $20::text[], $21::text[])
                 WITH ORDINALITY AS l (step, outcome, detail, place) ORDER BY l.place)
         SELECT count(*) AS "moved!" FROM moved"#,
        saga.order_id.uuid(),
        holder,
        saga.attempt,
        saga.step.as_str(),
        saga.state.as_str(),
        saga.undo_to.map_or("", UndoTo::as_str),
        saga.undo_reason,
        saga.failures,
        keep.map_or(saga.next_run_at, |lease| lease.until),
        keep.map(|lease| lease.holder),
        keep.map(|lease| lease.until),
        saga.reservation_attempt,
        saga.reservation_expires_at,
        saga.reserved_at,
        saga.proposal.as_ref().map(Json) as _,
        saga.last_error,
        saga.stuck_since,
        now,
        &steps,
        &outcomes,
        &details,
        trace.trace_id().unwrap_or_default(),
        oms_telemetry::linked_trace_id(),
    )
    .fetch_one(conn)
    .await?;
    Ok(moved > 0)
}

/// Locks the saga for the result of `holder`, and tells what happened outside meanwhile: the count of
/// signals and whether a cancellation was asked for. `None` when another claim has the saga. Whoever
/// changes the order too has locked it before.
pub(crate) async fn lock_claimed(
    conn: &mut PgConnection,
    order_id: OrderId,
    holder: Uuid,
    attempt: i32,
) -> Result<Option<(i64, bool)>, StoreError> {
    let row = sqlx::query!(
        "SELECT signals, cancel_requested FROM sagas
         WHERE order_id = $1 AND lease_holder = $2 AND attempt = $3 FOR UPDATE",
        order_id.uuid(),
        holder,
        attempt
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| (row.signals, row.cancel_requested)))
}

/// Leaves a claimed saga whose order cannot even be read to a person.
pub(crate) async fn park(
    conn: &mut PgConnection,
    saga: &Saga,
    holder: Uuid,
    error: &str,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE sagas SET state = 'STUCK', stuck_since = coalesce(stuck_since, $4), last_error = $5, lease_holder = NULL,
             lease_until = NULL, updated_at = $4
         WHERE order_id = $1 AND lease_holder = $2 AND attempt = $3",
        saga.order_id.uuid(),
        holder,
        saga.attempt,
        now,
        error
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Tells the saga that something happened outside: it looks again now, or right after its present step.
pub(crate) async fn signal(
    conn: &mut PgConnection,
    order_id: OrderId,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE sagas SET signals = signals + 1,
             next_run_at = CASE WHEN lease_until > $2 THEN next_run_at ELSE least(next_run_at, $2) END
         WHERE order_id = $1",
        order_id.uuid(),
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Asks the saga to unwind, also when it is stuck. False when it is past its pivot: a cancellation of
/// its own has to undo what was done. The caller holds the lock of the order, which is PENDING.
pub(crate) async fn request_cancel(
    conn: &mut PgConnection,
    order_id: OrderId,
    now: OffsetDateTime,
) -> Result<bool, StoreError> {
    let asked = sqlx::query!(
        "UPDATE sagas SET cancel_requested = true, signals = signals + 1, failures = 0,
             state = CASE WHEN state = 'STUCK' THEN
                 CASE WHEN undo_to = '' THEN 'RUNNING' ELSE 'UNDOING' END ELSE state END,
             stuck_since = NULL,
             next_run_at = CASE WHEN lease_until > $2 THEN next_run_at ELSE $2 END
         WHERE order_id = $1 AND state <> 'DONE'",
        order_id.uuid(),
        now
    )
    .execute(conn)
    .await?;
    Ok(asked.rows_affected() == 1)
}

/// Lets the saga hand planned batches to fulfillment, also when it was done. The caller holds the lock
/// of the order, which is confirmed, and has planned the batch.
pub(crate) async fn release_again(
    conn: &mut PgConnection,
    order_id: OrderId,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE sagas SET signals = signals + 1,
             state = CASE WHEN state = 'DONE' THEN 'RUNNING' ELSE state END,
             next_run_at = CASE WHEN lease_until > $2 THEN next_run_at ELSE $2 END
         WHERE order_id = $1",
        order_id.uuid(),
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Gives a stuck saga another full round of attempts. False when it is not stuck.
pub(crate) async fn retry_stuck(
    conn: &mut PgConnection,
    order_id: OrderId,
    now: OffsetDateTime,
) -> Result<bool, StoreError> {
    let retried = sqlx::query!(
        "UPDATE sagas SET state = CASE WHEN undo_to = '' THEN 'RUNNING' ELSE 'UNDOING' END,
             stuck_since = NULL, failures = 0, next_run_at = $2, signals = signals + 1,
             attempt = attempt + 1, lease_holder = NULL, lease_until = NULL
         WHERE order_id = $1 AND state = 'STUCK'",
        order_id.uuid(),
        now
    )
    .execute(conn)
    .await?;
    Ok(retried.rows_affected() == 1)
}

/// Moves a stuck saga to where a person has decided that it stands. False when it is not stuck any more.
pub(crate) async fn move_stuck(
    conn: &mut PgConnection,
    saga: &Saga,
    entry: &LedgerEntry<'_>,
    now: OffsetDateTime,
) -> Result<bool, StoreError> {
    let trace = TraceContext::current();
    let moved = sqlx::query!(
        "WITH moved AS (
             UPDATE sagas SET step = $2, state = $3, undo_to = $4, undo_reason = $5, stuck_since = NULL,
                 failures = 0, next_run_at = $6, signals = signals + 1,
                 attempt = attempt + 1, lease_holder = NULL, lease_until = NULL
             WHERE order_id = $1 AND state = 'STUCK'
             RETURNING order_id, attempt)
         INSERT INTO saga_steps (order_id, step, attempt, outcome, detail, recorded_at, trace_id, linked_trace_id)
         SELECT order_id, $7, attempt, $8, $9, $6, $10, $11 FROM moved",
        saga.order_id.uuid(),
        saga.step.as_str(),
        saga.state.as_str(),
        saga.undo_to.map_or("", UndoTo::as_str),
        saga.undo_reason,
        now,
        entry.step.as_str(),
        entry.outcome,
        entry.detail,
        trace.trace_id().unwrap_or_default(),
        oms_telemetry::linked_trace_id(),
    )
    .execute(conn)
    .await?;
    Ok(moved.rows_affected() == 1)
}

/// Stuck sagas, the longest stuck first, after a position.
pub(crate) async fn list_stuck(
    conn: &mut PgConnection,
    after: Option<(OffsetDateTime, Uuid)>,
    limit: i64,
) -> Result<Vec<Saga>, StoreError> {
    let (after_time, after_id) = after.unzip();
    let rows = sqlx::query_as!(
        SagaRow,
        r#"SELECT order_id, step, state, undo_to, undo_reason, attempt, failures, next_run_at,
             cancel_requested, signals, reservation_attempt, reservation_expires_at, reserved_at,
             proposal AS "proposal: Json<Proposal>", last_error, stuck_since, expires_at,
             traceparent, started_at
         FROM sagas WHERE state = 'STUCK'
             AND ($1::timestamptz IS NULL OR (stuck_since, order_id) > ($1, $2))
         ORDER BY stuck_since, order_id LIMIT $3"#,
        after_time,
        after_id,
        limit
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Saga::try_from).collect()
}

struct SagaRow {
    order_id: Uuid,
    step: String,
    state: String,
    undo_to: String,
    undo_reason: String,
    attempt: i32,
    failures: i32,
    next_run_at: OffsetDateTime,
    cancel_requested: bool,
    signals: i64,
    reservation_attempt: i32,
    reservation_expires_at: Option<OffsetDateTime>,
    reserved_at: Option<OffsetDateTime>,
    proposal: Option<Json<Proposal>>,
    last_error: String,
    stuck_since: Option<OffsetDateTime>,
    expires_at: OffsetDateTime,
    traceparent: String,
    started_at: OffsetDateTime,
}

impl TryFrom<SagaRow> for Saga {
    type Error = StoreError;

    fn try_from(row: SagaRow) -> Result<Self, StoreError> {
        let unknown = |column| StoreError::inconsistent("sagas", column, row.order_id);
        Ok(Self {
            order_id: OrderId::new(row.order_id),
            step: Step::parse(&row.step).ok_or_else(|| unknown("step"))?,
            state: SagaState::parse(&row.state).ok_or_else(|| unknown("state"))?,
            undo_to: UndoTo::parse(&row.undo_to),
            undo_reason: row.undo_reason,
            attempt: row.attempt,
            failures: row.failures,
            next_run_at: row.next_run_at,
            cancel_requested: row.cancel_requested,
            signals: row.signals,
            reservation_attempt: row.reservation_attempt,
            reservation_expires_at: row.reservation_expires_at,
            reserved_at: row.reserved_at,
            proposal: row.proposal.map(|json| json.0),
            last_error: row.last_error,
            stuck_since: row.stuck_since,
            expires_at: row.expires_at,
            traceparent: row.traceparent,
            started_at: row.started_at,
        })
    }
}
