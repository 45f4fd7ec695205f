//! Gives up what is left of the authorization of an order that has ended.

use std::sync::Arc;

use oms_core::OrderId;
use oms_postgres::{Outcome, Task, TaskError};
use sqlx::PgConnection;

use super::{order_id_of, refunds, task_error};
use crate::changes;
use crate::commands::settle_order::ORDER_CAUSE;
use crate::ctx::{Ctx, SERVICE_ACTOR};
use crate::domain::payment::{Payment, PaymentKind, PaymentState, open_authorization};
use crate::domain::refund::{captures_are_open, latest};
use crate::error::Error;
use crate::payments::effects::{self, NewPayment, Ran};
use crate::store::{cancellation_plans, payments};

/// What is to be done.
enum Begun {
    /// A capture has no answer yet.
    Later,
    /// Nothing is left.
    Nothing,
    /// Bring this to the provider.
    Run(Box<Payment>),
}

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
    let answered = match begun {
        Begun::Later => return Ok(Outcome::RetryAt(ctx.now() + refunds::LOOK_AGAIN)),
        Begun::Nothing => None,
        Begun::Run(payment) => match effects::run(ctx, &payment, false).await {
            Ok(Ran::Answered(answer)) => Some((payment, answer)),
            Ok(Ran::Settled) => None,
            Ok(Ran::InDoubt(why)) => return Err(TaskError::Retry(why)),
            Err(error) => return Err(task_error(error)),
        },
    };
    let answered = &answered;
    let declined = ctx
        .db
        .run_tx("void_payment", |tx| {
            Box::pin(async move {
                let conn = tx.conn();
                let mut order = changes::lock(conn, order_id).await?;
                if let Some((payment, answer)) = answered {
                    effects::record(conn, ctx, &mut order, payment, answer, SERVICE_ACTOR).await?;
                }
                let ledger = payments::list(conn, order_id).await?;
                let void = latest(&ledger, PaymentKind::Void, ORDER_CAUSE);
                if let Some(failed) = void.filter(|void| void.state == PaymentState::Failed) {
                    return Ok(Some(failed.failure_code.clone()));
                }
                end_legs(conn, ctx, &mut order).await?;
                task.finish(conn).await?;
                Ok::<_, Error>(None)
            })
        })
        .await
        .map_err(task_error)?;
    match declined {
        None => Ok(Outcome::AlreadyFinished),
        Some(code) => Err(TaskError::Stuck(format!("void declined: {code}"))),
    }
}

async fn begin(conn: &mut PgConnection, ctx: &Ctx, order_id: OrderId) -> Result<Begun, Error> {
    let order = changes::lock(conn, order_id).await?;
    let ledger = payments::list(conn, order_id).await?;
    if captures_are_open(&ledger) {
        return Ok(Begun::Later);
    }
    if let Some(known) = latest(&ledger, PaymentKind::Void, ORDER_CAUSE) {
        return Ok(if known.state.is_settled() {
            Begun::Nothing
        } else {
            Begun::Run(Box::new(known.clone()))
        });
    }
    let Some((authorization, left)) = open_authorization(&ledger) else {
        return Ok(Begun::Nothing);
    };
    let new = NewPayment {
        kind: PaymentKind::Void,
        amount: left,
        parent: Some(authorization.payment_id),
        cause: ORDER_CAUSE,
        actor: SERVICE_ACTOR,
        send_now: false,
    };
    Ok(Begun::Run(Box::new(
        effects::plan(conn, ctx, &order, &new).await?.0,
    )))
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

/// Detail of a payment leg while the authorization is not given up.
pub(crate) const WAITS_FOR_VOID: &str = "the authorization will be given up";
