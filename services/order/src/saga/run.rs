//! Works on one claimed saga: run a step, commit its result, go on, until it waits, ends or is lost.

use std::sync::Arc;

use metrics::{counter, histogram};
use oms_core::OrderId;
use sqlx::PgConnection;
use time::OffsetDateTime;
use tokio::sync::oneshot;
use tracing::{Instrument, Span};
use uuid::Uuid;

use super::lease;
use super::steps::{self, Done, Failure};
use crate::ctx::Ctx;
use crate::domain::order::Order;
use crate::domain::saga::{Entry, Saga, SagaState};
use crate::domain::state::OrderState;
use crate::error::Error;
use crate::store::sagas::{self, LedgerEntry};
use crate::store::{StoreError, orders};

/// Failures of the database in a row after which a claim is left to its lease.
const ERRORS_MOST: u32 = 4;
/// Pause after the first of them; longer after each.
const ERROR_PAUSE: std::time::Duration = std::time::Duration::from_millis(250);

/// A claimed saga with its order as it was when it was read last.
pub(crate) struct Run {
    pub(super) saga: Saga,
    order: Order,
    holder: Uuid,
    /// Ledger of steps that had nothing to commit; written with the next result.
    pub(super) passed: Vec<Entry>,
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
pub(super) enum Flow {
    Go,
    Yield,
}

/// What a transaction wrote.
pub(super) struct Committed {
    pub(super) saga: Saga,
    /// The order, when it was locked.
    pub(super) order: Option<Order>,
    /// Whether the lease goes on. Decided in the transaction and nowhere else: a moment later the saga may
    /// be due again, and belong to somebody else.
    pub(super) kept: bool,
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
            tokio::select! {
                () = work.saga_abort.cancelled() => {}
                () = self.drive(&work) => {}
            }
            drop(place);
        };
        ctx.background.spawn(task.instrument(span));
    }

    /// Runs step after step.
    pub(crate) async fn drive(mut self, ctx: &Ctx) {
        let mut errors = 0;
        loop {
            let started = std::time::Instant::now();
            let (step, undoing) = (self.saga.step, self.saga.state == SagaState::Undoing);
            let span = step_span(&self.saga);
            let flow = self.advance_or_park(ctx).instrument(span).await;
            histogram!("oms_order_saga_step_seconds", "step" => step.as_str(), "undo" => undoing.to_string())
                .record(started.elapsed());
            match flow {
                Ok(Flow::Go) => errors = 0,
                Ok(Flow::Yield) => break,
                Err(Lost::Lease) => {
                    self.lost();
                    break;
                }
                Err(Lost::Error(error)) => {
                    errors += 1;
                    tracing::warn!(order_id = %self.saga.order_id, error = %error, "saga result not written");
                    if !self.recover(ctx, errors).await {
                        break;
                    }
                }
            }
            if self.order.state != OrderState::Pending {
                self.tell();
            }
        }
        self.tell();
    }

    fn lost(&self) {
        counter!("oms_order_saga_leases_lost").increment(1);
        tracing::warn!(order_id = %self.saga.order_id, "saga lease lost, result dropped");
    }

    /// After the database failed: a pause, then the saga as it is. It is not known whether the last result
    /// was committed, so nothing of it may be remembered. False when the claim is to be left to whoever
    /// finds it after the lease.
    async fn recover(&mut self, ctx: &Ctx, errors: u32) -> bool {
        if errors > ERRORS_MOST || ctx.draining.is_cancelled() {
            return false;
        }
        tokio::time::sleep(ERROR_PAUSE * errors).await;
        match self.read_again(ctx).await {
            Ok(true) => true,
            Ok(false) => {
                self.lost();
                false
            }
            // Still failing: the step, run on what is remembered, would fail too.
            Err(_) => false,
        }
    }

    async fn read_again(&mut self, ctx: &Ctx) -> Result<bool, Error> {
        let mut conn = ctx.db.snapshot().await?;
        let (order_id, attempt) = (self.saga.order_id, self.saga.attempt);
        let saga = sagas::load_claimed(&mut conn, order_id, self.holder, attempt).await?;
        let order = orders::load(&mut conn, order_id).await?;
        let (Some(saga), Some(order)) = (saga, order) else {
            return Ok(false);
        };
        (self.saga, self.order) = (saga, order);
        self.passed.clear();
        Ok(true)
    }

    fn tell(&mut self) {
        if let Some(told) = self.told.take() {
            // Whoever asked may be gone.
            told.send(self.order.clone()).ok();
        }
    }

    /// A result that can never be written is a defect, and left to a person rather than tried forever.
    async fn advance_or_park(&mut self, ctx: &Ctx) -> Result<Flow, Lost> {
        match self.advance(ctx).await {
            Err(Lost::Error(error)) if !error.is_momentary() => {
                let message = format!("the result cannot be written: {error}");
                self.fail(ctx, Failure::Stuck(message)).await
            }
            flow => flow,
        }
    }

    async fn advance(&mut self, ctx: &Ctx) -> Result<Flow, Lost> {
        match self.saga.state {
            SagaState::Undoing => return self.undo(ctx).await,
            // Nobody claims it but when its order has expired.
            SagaState::Stuck => return self.expire(ctx).await,
            SagaState::Running | SagaState::Waiting | SagaState::Done => {}
        }
        let step = self.saga.step.as_str();
        ctx.failpoint(step, "begins");
        match steps::forward(ctx, self).await {
            Ok(done) if done.is_pass() => {
                self.pass(&done);
                Ok(Flow::Go)
            }
            Ok(done) => {
                ctx.failpoint(step, "answered");
                let flow = self.commit(ctx, &done).await;
                ctx.failpoint(step, "committed");
                flow
            }
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

    pub(super) async fn lock_saga(&self, conn: &mut PgConnection) -> Result<Saga, Lost> {
        let (order_id, attempt) = (self.saga.order_id, self.saga.attempt);
        oms_telemetry::record_order_id(&Span::current(), order_id);
        let locked = sagas::lock_claimed(conn, order_id, self.holder, attempt).await?;
        let (signals, cancel_requested) = locked.ok_or(Lost::Lease)?;
        Ok(Saga {
            cancel_requested,
            signals,
            ..self.saga.clone()
        })
    }

    pub(super) async fn write(
        &self,
        ctx: &Ctx,
        conn: &mut PgConnection,
        saga: &Saga,
        ledger: &[Entry],
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
        let keep = saga.is_busy(now) && !ctx.draining.is_cancelled();
        let lease = keep.then(|| lease(ctx, self.holder));
        if sagas::advance(conn, saga, self.holder, lease, &entries, now).await? {
            return Ok(keep);
        }
        Err(Lost::Lease)
    }

    /// Takes over what was committed.
    pub(super) async fn committed(
        &mut self,
        ctx: &Ctx,
        committed: Committed,
    ) -> Result<Flow, Lost> {
        let Committed { saga, order, kept } = committed;
        let signalled = saga.signals != self.saga.signals;
        self.saga = saga;
        self.passed.clear();
        match order {
            Some(order) => self.order = order,
            None if signalled => self.reload(ctx).await?,
            None => {}
        }
        if self.saga.state == SagaState::Done && self.saga.undo_to.is_none() {
            let waited = (self.saga.signals > 0).to_string();
            let took = (ctx.now() - self.saga.started_at).as_seconds_f64();
            histogram!("oms_order_release_seconds", "waited" => waited).record(took);
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
}

fn step_span(saga: &Saga) -> Span {
    let undo = if saga.state == SagaState::Undoing {
        "undo_"
    } else {
        ""
    };
    tracing::info_span!(
        "saga_step",
        otel.name = format_args!("order.saga.{undo}{}", saga.step.as_str()),
        oms.order.id = %saga.order_id,
        otel.status_code = tracing::field::Empty,
    )
}
