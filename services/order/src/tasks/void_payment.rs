//! Gives up what is left of the authorizations of an order that has ended.

use std::sync::Arc;

use oms_core::OrderId;
use oms_postgres::{Outcome, Task, TaskError};
use sqlx::PgConnection;

use super::{order_id_of, refunds, task_error};
use crate::changes;
use crate::ctx::{Ctx, SERVICE_ACTOR};
use crate::domain::cancellation::WAITS_FOR_VOID;
use crate::domain::payment::{Answer, Payment, PaymentKind, PaymentState, open_authorizations};
use crate::domain::refund::{captures_are_open, voids};
use crate::error::Error;
use crate::payments::effects::{self, NewPayment, Ran};
use crate::store::{cancellation_plans, payments};

/// Handler of [`crate::commands::settle_order::VOID_PAYMENT_TASK`].
pub(crate) async fn run(ctx: Arc<Ctx>, task: Task) -> Result<Outcome, TaskError> {
    let order_id = order_id_of(&task)?;
    let (ctx, task) = (&*ctx, &task);
    let begun = ctx
        .db
        .run_tx("begin_void", |tx| {
            Box::pin(async move { begin(tx.conn(), ctx, order_id).await })
        })
        .await
        .map_err(task_error)?;
    let Some(open) = begun else {
        return Ok(Outcome::RetryAt(ctx.now() + refunds::pause(task)));
    };
    // The last answer is written with the end of the task, the others before.
    let mut answered: Option<(Payment, Answer)> = None;
    for void in open {
        if let Some((void, answer)) = answered.take() {
            effects::write(ctx, &void, &answer, SERVICE_ACTOR)
                .await
                .map_err(task_error)?;
        }
        match effects::run(ctx, &void, false).await {
            Ok(Ran::Answered(answer)) => answered = Some((void, answer)),
            Ok(Ran::Settled) => {}
            Ok(Ran::InDoubt(why) | Ran::NotAsked(why)) => return Err(TaskError::Retry(why)),
            Err(error) => return Err(task_error(error)),
        }
    }
    let answered = answered.as_ref();
    let declined = ctx
        .db
        .run_tx("void_payment", |tx| {
            Box::pin(async move { finish(tx.conn(), ctx, task, order_id, answered).await })
        })
        .await
        .map_err(task_error)?;
    match declined {
        None => Ok(Outcome::AlreadyFinished),
        Some(code) => Err(TaskError::Stuck(format!("void declined: {code}"))),
    }
}

/// Plans to give up what is left of each authorization; answers what has no answer yet. `None` while a capture has
/// none.
async fn begin(
    conn: &mut PgConnection,
    ctx: &Ctx,
    order_id: OrderId,
) -> Result<Option<Vec<Payment>>, Error> {
    let order = changes::lock(conn, order_id).await?;
    let ledger = payments::list(conn, order_id).await?;
    if captures_are_open(&ledger) {
        return Ok(None);
    }
    for (authorization, left) in open_authorizations(&ledger) {
        let new = NewPayment {
            kind: PaymentKind::Void,
            amount: left,
            source: authorization.into(),
            cause: &authorization.cause,
            actor: SERVICE_ACTOR,
            send_now: false,
        };
        effects::plan(conn, ctx, &order, &new).await?;
    }
    let ledger = payments::list(conn, order_id).await?;
    let open = |void: &&Payment| !void.state.is_settled();
    Ok(Some(
        voids(&ledger).into_iter().filter(open).cloned().collect(),
    ))
}

/// Writes the last answer. `Some` is the code of a refusal: the task stays.
async fn finish(
    conn: &mut PgConnection,
    ctx: &Ctx,
    task: &Task,
    order_id: OrderId,
    answered: Option<&(Payment, Answer)>,
) -> Result<Option<String>, Error> {
    let mut order = changes::lock(conn, order_id).await?;
    if let Some((void, answer)) = answered {
        effects::record(conn, ctx, &mut order, void, answer, SERVICE_ACTOR).await?;
    }
    let ledger = payments::list(conn, order_id).await?;
    let is_failed = |void: &&Payment| void.state == PaymentState::Failed;
    if let Some(failed) = voids(&ledger).into_iter().find(is_failed) {
        return Ok(Some(failed.failure_code.clone()));
    }
    end_legs(conn, ctx, &mut order).await?;
    task.finish(conn).await?;
    Ok(None)
}

/// Ends the payment legs of cancellations that waited for the void.
async fn end_legs(
    conn: &mut PgConnection,
    ctx: &Ctx,
    order: &mut changes::Locked,
) -> Result<(), Error> {
    for one in &mut order.cancellations {
        let waits = |leg: &crate::domain::cancellation::CancellationLeg| {
            leg.name == "payment" && leg.state == "PENDING" && leg.detail == WAITS_FOR_VOID
        };
        if one.legs.iter().any(waits) {
            one.set_leg("payment", "DONE", "authorization given up");
            cancellation_plans::save_cancellation(conn, one, ctx.now()).await?;
        }
    }
    Ok(())
}
