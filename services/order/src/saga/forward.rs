//! Commits what a step came to: its result, or its failure.

use sqlx::PgConnection;
use tracing::Span;

use super::ending;
use super::next::{backoff, tx_name};
use super::run::{Committed, Flow, Lost, Run};
use super::steps::{self, Done, Failure};
use crate::changes;
use crate::ctx::Ctx;
use crate::domain::saga::{Entry, Next, SagaState, StepResult, undo_from};
use crate::store::reservations;

impl Run {
    /// Unwinds an order whose time was up while its saga waited for a person.
    pub(super) async fn expire(&mut self, ctx: &Ctx) -> Result<Flow, Lost> {
        self.commit(ctx, &Done::of(StepResult::NotYet)).await
    }

    /// Commits the result of a step.
    pub(super) async fn commit(&mut self, ctx: &Ctx, done: &Done) -> Result<Flow, Lost> {
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
        conn: &mut PgConnection,
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
        let what_next = saga.next(&result, expired);
        let seen = saga.signals != self.saga.signals;
        let ended = match (&what_next, locked.as_mut()) {
            (Next::Undo(from, to, reason), Some(order)) if undo_from(*from).is_none() => {
                ending::end(conn, ctx, order, *to, reason).await?;
                true
            }
            _ => false,
        };
        if what_next == Next::ReserveAgain {
            reservations::mark_lost(conn, saga.reservation_id()).await?;
        }
        let mut ledger = self.ledger_of(&result, &done.note);
        saga.follow(what_next, done.wait_until, seen, now, &mut ledger);
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
    pub(super) fn ledger_of(&self, result: &StepResult, note: &str) -> Vec<Entry> {
        let mut ledger = self.passed.clone();
        match result {
            StepResult::Done => ledger.push((self.saga.step, "SUCCEEDED", note.to_owned())),
            StepResult::NotYet | StepResult::HeldUp => {}
            StepResult::Refused(reason) | StepResult::RefusedInPart(reason) => {
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

    /// Writes a failure: again after a pause, undone if that is wanted by now, or left to a person.
    pub(super) async fn fail(&mut self, ctx: &Ctx, failure: Failure) -> Result<Flow, Lost> {
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
        conn: &mut PgConnection,
        message: &str,
        hopeless: bool,
    ) -> Result<Committed, Lost> {
        let now = ctx.now();
        let mut saga = self.lock_saga(conn).await?;
        let undoing = saga.state == SagaState::Undoing;
        let expired = now >= saga.expires_at;
        let failures_max = ctx.config.saga.failures_max;
        saga.failures = saga.failures.saturating_add(1);
        message.clone_into(&mut saga.last_error);
        let outcome = if undoing { "UNDO_FAILED" } else { "FAILED" };
        let mut ledger = self.passed.clone();
        ledger.push((saga.step, outcome, message.to_owned()));
        let what_next = saga.next(&StepResult::NotYet, expired);
        if !undoing && matches!(what_next, Next::Undo(..)) {
            saga.follow(what_next, None, false, now, &mut ledger);
        } else if hopeless || saga.step.retry().gives_up(saga.failures, failures_max) {
            saga.state = SagaState::Stuck;
        } else {
            saga.next_run_at = now + backoff(ctx, saga.failures);
        }
        saga.stamp_stuck(now);
        let kept = self.write(ctx, conn, &saga, &ledger, now).await?;
        Ok(Committed {
            saga,
            order: None,
            kept,
        })
    }
}
