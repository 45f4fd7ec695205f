//! Pays back what was captured for units that were canceled before they shipped.

use std::sync::Arc;

use oms_core::{Money, OrderId};
use oms_postgres::{Outcome, Task, TaskError};
use sqlx::PgConnection;

use super::{order_id_of, refunds, task_error};
use crate::changes;
use crate::commands::settle_order::{RefundCancellation, settle_order};
use crate::commands::task_payload::decode;
use crate::ctx::Ctx;
use crate::domain::refund::captures_are_open;
use crate::error::Error;
use crate::store::{cancellation_plans, payments};

/// Handler of [`crate::commands::settle_order::REFUND_CANCELLATION_TASK`].
pub(crate) async fn run(ctx: Arc<Ctx>, task: Task) -> Result<Outcome, TaskError> {
    let order_id = order_id_of(&task)?;
    let refund: RefundCancellation = decode(&task.payload).map_err(TaskError::Stuck)?;
    let cause = format!("cancellation/{}", refund.cancellation_id);
    let (ctx, task, refund, cause) = (&*ctx, &task, &refund, cause.as_str());
    let ready = ctx
        .db
        .run_tx("begin_refund", |tx| {
            Box::pin(async move {
                let conn = tx.conn();
                let order = changes::lock(conn, order_id).await?;
                let ledger = payments::list(conn, order_id).await?;
                if captures_are_open(&ledger) {
                    return Ok(false);
                }
                let what = (refund.amount, cause, task.actor.as_str());
                refunds::plan(conn, ctx, &order, &ledger, what).await?;
                Ok::<_, Error>(true)
            })
        })
        .await
        .map_err(task_error)?;
    if !ready {
        return Ok(Outcome::RetryAt(ctx.now() + refunds::pause(task)));
    }
    let paid = refunds::run(ctx, order_id, cause).await?;
    ctx.db
        .run_tx("refund_cancellation", |tx| {
            Box::pin(async move { finish(tx.conn(), ctx, task, order_id, refund, paid).await })
        })
        .await
        .map_err(task_error)?;
    Ok(Outcome::AlreadyFinished)
}

async fn finish(
    conn: &mut PgConnection,
    ctx: &Ctx,
    task: &Task,
    order_id: OrderId,
    refund: &RefundCancellation,
    paid: i64,
) -> Result<(), Error> {
    let mut order = changes::lock(conn, order_id).await?;
    let detail = format!("refunded {}", Money::new(order.currency, paid));
    let mut cancellations = order.cancellations.iter_mut();
    if let Some(one) = cancellations.find(|one| one.cancellation_id == refund.cancellation_id) {
        one.set_leg("payment", "DONE", &detail);
        cancellation_plans::save_cancellation(conn, one, ctx.now()).await?;
    }
    settle_order(conn, ctx, &mut order).await?;
    Ok(task.finish(conn).await?)
}
