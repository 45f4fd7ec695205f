//! Works on one claimed saga: run a step, commit its result, go on, until it waits, ends or is lost.

use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, histogram};
use oms_core::OrderId;
use time::OffsetDateTime;
use tokio::sync::oneshot;
use tracing::{Instrument, Span};
use uuid::Uuid;

use super::steps::{self, Done, Failure};
use super::{driver, ending, lease, millis};
use crate::changes;
use crate::ctx::Ctx;
use crate::domain::order::Order;
use crate::domain::saga::{Next, Saga, SagaState, Step, StepResult, next, undo_from};
use crate::domain::state::OrderState;
use crate::error::Error;
use crate::store::sagas::{self, LedgerEntry};
use crate::store::{StoreError, orders};

/// Reservations that a saga makes before a person has to look.
const RESERVATIONS_MOST: i32 = 50;

/// A claimed saga with its order as it was when it was read last.
pub(crate) struct Run {
    saga: Saga,
    order: Order,
    holder: Uuid,
    /// Ledger of steps that had nothing to commit; written with the next result.
    passed: Vec<(Step, &'static str, String)>,
    told: Option<oneshot::Sender<Order>>,
}

/// Why a result could not be committed.
#[derive(Debug)]
pub(super) enum Lost {
    /// Another claim has the saga: drop the result.
    Lease,
    /// The database failed.
    Error(Error),
}

impl From<Error> for Lost {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<StoreError> for Lost {
    fn from(error: StoreError) -> Self {
        Self::Error(error.into())
    }
}

impl From<oms_postgres::Error> for Lost {
    fn from(error: oms_postgres::Error) -> Self {
        Self::Error(error.into())
    }
}

/// Whether to go on with the claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Go,
    Yield,
}

/// What a transaction wrote.
struct Committed {
    saga: Saga,
    /// The order, when it was locked.
    order: Option<Order>,
    /// Whether the lease goes on. Decided in the transaction and nowhere else: a moment later the saga may
    /// be due again, and belong to somebody else.
    kept: bool,
}

impl Run {
    /// A claimed saga. `told` hears when nobody needs to wait any longer.
    pub(crate) fn new(
        saga: Saga,
        order: Order,
        holder: Uuid,
        told: Option<oneshot::Sender<Order>>,
    ) -> Self {
        Self {
            saga,
            order,
            holder,
            passed: Vec::new(),
            told,
        }
    }

    /// The saga.
    pub(crate) fn saga(&self) -> &Saga {
        &self.saga
    }

    /// The order.
    pub(super) fn order(&self) -> &Order {
        &self.order
    }

    /// Who works on it.
    pub(super) fn holder(&self) -> Uuid {
        self.holder
    }

    /// The order's id.
    pub(super) fn order_id(&self) -> OrderId {
        self.saga.order_id
    }

    /// The span of the whole claim.
    pub(crate) fn span(&self) -> Span {
        tracing::info_span!("saga", otel.name = "order.saga", oms.order.id = %self.saga.order_id)
    }

    /// Works on it in the background; `place` is held meanwhile.
    pub(crate) fn spawn<P: Send + 'static>(self, ctx: &Arc<Ctx>, span: Span, place: P) {
        let work = Arc::clone(ctx);
        let task = async move {
            self.drive(&work).await;
            drop(place);
        };
        ctx.background.spawn(task.instrument(span));
    }

    /// Runs step after step.
    pub(crate) async fn drive(mut self, ctx: &Ctx) {
        loop {
            let started = std::time::Instant::now();
            let (step, undoing) = (self.saga.step, self.saga.state == SagaState::Undoing);
            let span = tracing::info_span!(
                "saga_step",
                otel.name = format_args!("order.saga.{}{}", if undoing { "undo_" } else { "" }, step.as_str()),
                oms.order.id = %self.saga.order_id,
                otel.status_code = tracing::field::Empty,
            );
            let flow = self.advance(ctx).instrument(span).await;
            histogram!("oms_order_saga_step_seconds", "step" => step.as_str())
                .record(started.elapsed());
            match flow {
                Ok(Flow::Go) => {}
                Ok(Flow::Yield) => break,
                Err(Lost::Lease) => {
                    counter!("oms_order_saga_leases_lost").increment(1);
                    tracing::warn!(order_id = %self.saga.order_id, "saga lease lost, result dropped");
                    break;
                }
                Err(Lost::Error(error)) => {
                    // Nothing was written: the lease runs out, and the next claim runs the step again.
                    tracing::warn!(order_id = %self.saga.order_id, error = %error, "saga result not written");
                    break;
                }
            }
            if self.order.state != OrderState::Pending {
                self.tell();
            }
        }
        self.tell();
    }

    fn tell(&mut self) {
        if let Some(told) = self.told.take() {
            // Whoever asked may be gone.
            told.send(self.order.clone()).ok();
        }
    }

    async fn advance(&mut self, ctx: &Ctx) -> Result<Flow, Lost> {
        if self.saga.state == SagaState::Undoing {
            return self.undo(ctx).await;
        }
        match steps::forward(ctx, self).await {
            Ok(done) if done.is_pass() => {
                self.pass(&done);
                Ok(Flow::Go)
            }
            Ok(done) => self.commit(ctx, &done).await,
            Err(Failure::Lost(lost)) => Err(lost),
            Err(failure) => self.fail(ctx, failure).await,
        }
    }

    /// Goes over a step that wrote nothing; its ledger entry is written with the next result.
    fn pass(&mut self, done: &Done) {
        let step = self.saga.step;
        self.passed.push((step, "SUCCEEDED", done.note.clone()));
        if let Some(following) = step.following() {
            self.saga.step = following;
            self.saga.failures = 0;
        }
    }

    /// Commits the result of a step.
    async fn commit(&mut self, ctx: &Ctx, done: &Done) -> Result<Flow, Lost> {
        let run = &*self;
        let committed = ctx
            .db
            .run_tx(tx_name(run.saga.step), |tx| {
                Box::pin(async move { run.commit_in(ctx, tx.conn(), done).await })
            })
            .await?;
        self.committed(ctx, committed).await
    }

    async fn commit_in(
        &self,
        ctx: &Ctx,
        conn: &mut sqlx::PgConnection,
        done: &Done,
    ) -> Result<Committed, Lost> {
        let now = ctx.now();
        let mut locked = if done.needs_order() {
            Some(changes::lock(conn, self.order_id()).await?)
        } else {
            None
        };
        let mut saga = self.lock_saga(conn).await?;
        let expired = now >= saga.expires_at;
        let mut result = done.result.clone();
        if let Some(order) = locked.as_mut() {
            result = steps::record(conn, ctx, order, &mut saga, done).await?;
        }
        steps::remember(&mut saga, done, now);
        let what_next = next(saga.step, &result, saga.cancel_requested, expired);
        let seen = saga.signals != self.saga.signals;
        let ended = match (&what_next, locked.as_mut()) {
            (Next::Undo(from, to, reason), Some(order)) if undo_from(*from).is_none() => {
                ending::end(conn, ctx, order, *to, reason).await?;
                true
            }
            _ => false,
        };
        let mut ledger = self.ledger_of(&result, &done.note);
        follow(
            ctx,
            &mut saga,
            what_next,
            done.wait_until,
            seen,
            &mut ledger,
        );
        if ended {
            saga.state = SagaState::Done;
        }
        let kept = self.write(ctx, conn, &saga, &ledger, now).await?;
        Ok(Committed {
            saga,
            order: locked.map(changes::Locked::into_order),
            kept,
        })
    }

    /// What the ledger says of steps that passed and of this one.
    fn ledger_of(&self, result: &StepResult, note: &str) -> Vec<(Step, &'static str, String)> {
        let mut ledger = self.passed.clone();
        match result {
            StepResult::Done => ledger.push((self.saga.step, "SUCCEEDED", note.to_owned())),
            StepResult::NotYet | StepResult::HeldUp => {}
            StepResult::Refused(reason) => {
                ledger.push((self.saga.step, "FAILED", format!("{reason}: {note}")));
            }
            StepResult::ReservationLost => {
                ledger.push((
                    self.saga.step,
                    "FAILED",
                    "the reservation ran out".to_owned(),
                ));
            }
        }
        ledger
    }

    async fn lock_saga(&self, conn: &mut sqlx::PgConnection) -> Result<Saga, Lost> {
        let (order_id, attempt) = (self.saga.order_id, self.saga.attempt);
        let locked = sagas::lock_claimed(conn, order_id, self.holder, attempt).await?;
        let (signals, cancel_requested) = locked.ok_or(Lost::Lease)?;
        Ok(Saga {
            cancel_requested,
            signals,
            ..self.saga.clone()
        })
    }

    async fn write(
        &self,
        ctx: &Ctx,
        conn: &mut sqlx::PgConnection,
        saga: &Saga,
        ledger: &[(Step, &'static str, String)],
        now: OffsetDateTime,
    ) -> Result<bool, Lost> {
        let entries: Vec<LedgerEntry<'_>> = ledger
            .iter()
            .map(|(step, outcome, detail)| LedgerEntry {
                step: *step,
                outcome,
                detail,
            })
            .collect();
        let keep = keeps_lease(saga, now) && !ctx.draining.is_cancelled();
        let lease = keep.then(|| lease(ctx, self.holder));
        if sagas::advance(conn, saga, self.holder, lease, &entries, now).await? {
            return Ok(keep);
        }
        Err(Lost::Lease)
    }

    /// Takes over what was committed.
    async fn committed(&mut self, ctx: &Ctx, committed: Committed) -> Result<Flow, Lost> {
        let Committed { saga, order, kept } = committed;
        let signalled = saga.signals != self.saga.signals;
        self.saga = saga;
        self.passed.clear();
        match order {
            Some(order) => self.order = order,
            None if signalled => self.reload(ctx).await?,
            None => {}
        }
        if self.saga.state == SagaState::Stuck {
            counter!("oms_order_sagas_stuck").increment(1);
            tracing::error!(
                order_id = %self.saga.order_id,
                step = self.saga.step.as_str(),
                error = self.saga.last_error,
                "saga stuck"
            );
        }
        Ok(if kept { Flow::Go } else { Flow::Yield })
    }

    async fn reload(&mut self, ctx: &Ctx) -> Result<(), Lost> {
        let mut conn = ctx.db.read().await?;
        if let Some(order) = orders::load(&mut conn, self.order_id()).await? {
            self.order = order;
        }
        Ok(())
    }

    /// Undoes the present step, or ends the order when nothing is left to undo.
    async fn undo(&mut self, ctx: &Ctx) -> Result<Flow, Lost> {
        let Some(step) = undo_from(Some(self.saga.step)) else {
            return self.finish_undo(ctx, None).await;
        };
        self.saga.step = step;
        match steps::undo(ctx, self).await {
            Ok(undone) => self.finish_undo(ctx, Some((step, undone))).await,
            Err(Failure::Lost(lost)) => Err(lost),
            Err(failure) => self.fail(ctx, failure).await,
        }
    }

    async fn finish_undo(
        &mut self,
        ctx: &Ctx,
        undone: Option<(Step, steps::Undone)>,
    ) -> Result<Flow, Lost> {
        let (run, undone) = (&*self, &undone);
        let committed = ctx
            .db
            .run_tx("undo_saga_step", |tx| {
                Box::pin(async move { run.finish_undo_in(ctx, tx.conn(), undone.as_ref()).await })
            })
            .await?;
        self.committed(ctx, committed).await
    }

    async fn finish_undo_in(
        &self,
        ctx: &Ctx,
        conn: &mut sqlx::PgConnection,
        undone: Option<&(Step, steps::Undone)>,
    ) -> Result<Committed, Lost> {
        let now = ctx.now();
        let mut order = changes::lock(conn, self.order_id()).await?;
        let mut saga = self.lock_saga(conn).await?;
        let mut ledger = self.passed.clone();
        let mut left = None;
        if let Some((step, undone)) = undone {
            steps::record_undone(conn, &mut order, &mut saga, undone).await?;
            ledger.push((*step, "UNDONE", String::new()));
            left = undo_from(step.preceding());
        }
        saga.failures = 0;
        match (left, saga.undo_to) {
            (Some(step), _) => saga.step = step,
            (None, Some(to)) => {
                ending::end(conn, ctx, &mut order, to, &saga.undo_reason).await?;
                saga.state = SagaState::Done;
            }
            // An undoing saga always knows how it ends.
            (None, None) => saga.state = SagaState::Stuck,
        }
        stamp_stuck(&mut saga, now);
        let kept = self.write(ctx, conn, &saga, &ledger, now).await?;
        Ok(Committed {
            saga,
            order: Some(order.into_order()),
            kept,
        })
    }

    /// Writes a failure: again after a pause, undone if that is wanted by now, or left to a person.
    async fn fail(&mut self, ctx: &Ctx, failure: Failure) -> Result<Flow, Lost> {
        let (message, hopeless) = match failure {
            Failure::Retry(message) => (message, false),
            Failure::Stuck(message) => (message, true),
            Failure::Lost(lost) => return Err(lost),
        };
        oms_telemetry::mark_failed(&Span::current(), &message);
        tracing::warn!(
            order_id = %self.saga.order_id,
            step = self.saga.step.as_str(),
            error = message,
            "saga step failed"
        );
        let (run, message) = (&*self, &message);
        let committed = ctx
            .db
            .run_tx("fail_saga_step", |tx| {
                Box::pin(async move { run.fail_in(ctx, tx.conn(), message, hopeless).await })
            })
            .await?;
        self.committed(ctx, committed).await
    }

    async fn fail_in(
        &self,
        ctx: &Ctx,
        conn: &mut sqlx::PgConnection,
        message: &str,
        hopeless: bool,
    ) -> Result<Committed, Lost> {
        let now = ctx.now();
        let mut saga = self.lock_saga(conn).await?;
        let undoing = saga.state == SagaState::Undoing;
        let expired = now >= saga.expires_at;
        saga.failures = saga.failures.saturating_add(1);
        message.clone_into(&mut saga.last_error);
        let outcome = if undoing { "UNDO_FAILED" } else { "FAILED" };
        let mut ledger = self.passed.clone();
        ledger.push((saga.step, outcome, message.to_owned()));
        let what_next = next(
            saga.step,
            &StepResult::NotYet,
            saga.cancel_requested,
            expired,
        );
        if !undoing && matches!(what_next, Next::Undo(..)) {
            follow(ctx, &mut saga, what_next, None, false, &mut ledger);
        } else if hopeless || saga.failures >= ctx.config.saga.failures_max {
            saga.state = SagaState::Stuck;
        } else {
            saga.next_run_at = now + backoff(ctx, saga.failures);
        }
        stamp_stuck(&mut saga, now);
        let kept = self.write(ctx, conn, &saga, &ledger, now).await?;
        Ok(Committed {
            saga,
            order: None,
            kept,
        })
    }
}

fn stamp_stuck(saga: &mut Saga, now: OffsetDateTime) {
    saga.stuck_since = (saga.state == SagaState::Stuck).then_some(now);
}

/// A saga is kept while there is something to do for it now.
fn keeps_lease(saga: &Saga, now: OffsetDateTime) -> bool {
    matches!(saga.state, SagaState::Running | SagaState::Undoing) && saga.next_run_at <= now
}

/// Moves the saga to what is next.
fn follow(
    ctx: &Ctx,
    saga: &mut Saga,
    what_next: Next,
    wait_until: Option<OffsetDateTime>,
    signalled: bool,
    ledger: &mut Vec<(Step, &'static str, String)>,
) {
    let now = ctx.now();
    saga.next_run_at = now;
    saga.state = SagaState::Running;
    match what_next {
        Next::Run(step) => {
            saga.step = step;
            saga.failures = 0;
            ledger.push((step, "STARTED", String::new()));
        }
        // What happened meanwhile may be what it waits for.
        Next::Wait(step) if signalled => saga.step = step,
        Next::Wait(step) => {
            saga.step = step;
            saga.failures = 0;
            if let Some(until) = wait_until {
                saga.state = SagaState::Waiting;
                saga.next_run_at = until;
            }
        }
        Next::ReserveAgain => {
            saga.step = Step::Reserve;
            saga.reservation_attempt += 1;
            saga.reservation_expires_at = None;
            saga.reserved_at = None;
            if saga.reservation_attempt > RESERVATIONS_MOST {
                saga.state = SagaState::Stuck;
                "reservations are lost again and again".clone_into(&mut saga.last_error);
            }
            ledger.push((Step::Reserve, "STARTED", String::new()));
        }
        Next::Undo(from, to, reason) => {
            saga.undo_to = Some(to);
            saga.undo_reason = reason;
            saga.failures = 0;
            saga.state = SagaState::Undoing;
            saga.step = from.unwrap_or(saga.step);
            if let Some(step) = undo_from(from) {
                saga.step = step;
                ledger.push((step, "UNDO_STARTED", String::new()));
            }
        }
        Next::Finished if signalled => {}
        Next::Finished => saga.state = SagaState::Done,
    }
    stamp_stuck(saga, now);
}

/// The pause after so many failures: doubles up to its maximum, spread.
fn backoff(ctx: &Ctx, failures: i32) -> time::Duration {
    let config = &ctx.config.saga;
    let doublings = u32::try_from(failures.saturating_sub(1))
        .unwrap_or_default()
        .min(30);
    let whole = config
        .backoff_first_ms
        .saturating_mul(1 << doublings)
        .min(config.backoff_most_ms);
    let spread = Duration::from_millis(whole).mul_f64(0.5 + 0.5 * driver::share(ctx));
    millis(u64::try_from(spread.as_millis()).unwrap_or(u64::MAX))
}

fn tx_name(step: Step) -> &'static str {
    match step {
        Step::Screen => "saga_screen",
        Step::Source => "saga_source",
        Step::Reserve => "saga_reserve",
        Step::AwaitHolds => "saga_await_holds",
        Step::Authorize => "saga_authorize",
        Step::Allocate => "saga_allocate",
        Step::Confirm => "saga_confirm",
        Step::Release => "saga_release",
    }
}
