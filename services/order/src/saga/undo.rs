//! Undoes steps, the last one first, and then ends the order.

use sqlx::PgConnection;

use super::ending;
use super::run::{Committed, Flow, Lost, Run};
use super::steps::{self, Failure, Undone};
use crate::changes;
use crate::ctx::Ctx;
use crate::domain::saga::{SagaState, Step, undo_from};

impl Run {
    /// Undoes the present step, or ends the order when nothing is left to undo.
    pub(super) async fn undo(&mut self, ctx: &Ctx) -> Result<Flow, Lost> {
        let Some(step) = undo_from(Some(self.saga.step)) else {
            return self.finish_undo(ctx, None).await;
        };
        self.saga.step = step;
        ctx.failpoint(step.as_str(), "undo begins");
        match steps::undo(ctx, self).await {
            Ok(undone) => {
                ctx.failpoint(step.as_str(), "undo answered");
                let flow = self.finish_undo(ctx, Some((step, undone))).await;
                ctx.failpoint(step.as_str(), "undo committed");
                flow
            }
            Err(Failure::Lost(lost)) => Err(lost),
            Err(failure) => self.fail(ctx, failure).await,
        }
    }

    async fn finish_undo(
        &mut self,
        ctx: &Ctx,
        undone: Option<(Step, Undone)>,
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
        conn: &mut PgConnection,
        undone: Option<&(Step, Undone)>,
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
        saga.stamp_stuck(now);
        let kept = self.write(ctx, conn, &saga, &ledger, now).await?;
        Ok(Committed {
            saga,
            order: Some(order.into_order()),
            kept,
        })
    }
}
