//! Renews an authorization before it ends: authorizes anew, then gives up the old one.
//!
//! Every round reads the order's ledger and does what [`crate::domain::renewal`] says is next, so that a crash between any
//! two is a later start. A renewal that is declined holds what is not released yet and waits for a person; what is
//! allocated stays allocated, and what ships meanwhile is captured while the old authorization lasts.

use std::sync::Arc;

use oms_core::{HoldId, OrderId, PaymentId, derive};
use oms_postgres::{Outcome, Task, TaskError};
use sqlx::PgConnection;
use time::Duration;

use super::hold_back::{self, HoldBack};
use super::{order_id_of, task_error};
use crate::changes::{self, Locked};
use crate::commands::release_hold;
use crate::commands::settle_order::settle_order;
use crate::ctx::{Ctx, SERVICE_ACTOR};
use crate::domain::order::HoldBlock;
use crate::domain::payment::{Payment, PaymentKind};
use crate::domain::renewal::{self, Renewal, renewal_cause};
use crate::error::Error;
use crate::payments::effects::{self, NewPayment, Ran, Source};
use crate::payments::renewal::payment_id_of;
use crate::store::payments;

/// While the order is not confirmed, or a capture of the old authorization is under way.
const LOOK_AGAIN: Duration = Duration::seconds(5);
/// More rounds than a renewal has.
const ROUNDS_MOST: usize = 10;

/// What is to be done outside of the transaction.
enum Step {
    /// The task is finished.
    Finished,
    /// It is too early.
    Later,
    /// Bring this to the provider.
    Run(Payment),
    /// Find out about this, and see that it never comes true.
    Unwanted(Payment),
    /// A person decides; why.
    Stuck(String),
}

/// Handler; the payload is the id of the old authorization.
pub(crate) async fn run(ctx: Arc<Ctx>, task: Task) -> Result<Outcome, TaskError> {
    let order_id = order_id_of(&task)?;
    let old = payment_id_of(&task.payload);
    let old = old.ok_or_else(|| TaskError::Stuck("the payload is no payment".to_owned()))?;
    let (ctx, task) = (&*ctx, &task);
    for _ in 0..ROUNDS_MOST {
        let step = ctx
            .db
            .run_tx("renew_authorization", |tx| {
                Box::pin(async move { step(tx.conn(), ctx, task, order_id, old).await })
            })
            .await
            .map_err(task_error)?;
        match step {
            Step::Finished => {
                ctx.wake_sagas();
                return Ok(Outcome::AlreadyFinished);
            }
            Step::Later => return Ok(Outcome::RetryAt(ctx.now() + LOOK_AGAIN)),
            Step::Stuck(why) => return Err(TaskError::Stuck(why)),
            Step::Run(payment) => bring(ctx, &payment).await?,
            Step::Unwanted(payment) => {
                let doubt = effects::settle_unwanted(ctx, &payment).await;
                if let Some(doubt) = doubt.map_err(task_error)? {
                    return Err(TaskError::Retry(doubt));
                }
            }
        }
    }
    Err(TaskError::Retry("the renewal does not end".to_owned()))
}

/// Brings a planned payment to the provider and writes the answer.
pub(super) async fn bring(ctx: &Ctx, payment: &Payment) -> Result<(), TaskError> {
    match effects::run(ctx, payment, false)
        .await
        .map_err(task_error)?
    {
        Ran::Settled => Ok(()),
        Ran::InDoubt(why) | Ran::NotAsked(why) => Err(TaskError::Retry(why)),
        Ran::Answered(answer) => {
            let written = effects::write(ctx, payment, &answer, SERVICE_ACTOR).await;
            written.map(|_| ()).map_err(task_error)
        }
    }
}

async fn step(
    conn: &mut PgConnection,
    ctx: &Ctx,
    task: &Task,
    order_id: OrderId,
    old: PaymentId,
) -> Result<Step, Error> {
    let mut order = changes::lock(conn, order_id).await?;
    let ledger = payments::list(conn, order_id).await?;
    let Some(old) = ledger.iter().find(|one| one.payment_id == old) else {
        task.finish(conn).await?;
        return Ok(Step::Finished);
    };
    match renewal::next(order.state, order.owed(), &ledger, old) {
        Renewal::Later => Ok(Step::Later),
        Renewal::Run(payment) => Ok(Step::Run(payment.clone())),
        Renewal::Unwanted(payment) => Ok(Step::Unwanted(payment.clone())),
        Renewal::Authorize(amount) => {
            let new = NewPayment {
                kind: PaymentKind::Authorization,
                amount,
                source: Source::Tender(old.tender),
                cause: &renewal_cause(old),
                actor: SERVICE_ACTOR,
                send_now: false,
            };
            Ok(Step::Run(effects::plan(conn, ctx, &order, &new).await?.0))
        }
        Renewal::GiveUp(authorization, amount) => {
            let new = NewPayment {
                kind: PaymentKind::Void,
                amount,
                source: authorization.into(),
                cause: &authorization.cause,
                actor: SERVICE_ACTOR,
                send_now: false,
            };
            Ok(Step::Run(effects::plan(conn, ctx, &order, &new).await?.0))
        }
        Renewal::Declined(payment) => {
            let why = declined(conn, ctx, &mut order, old, payment).await?;
            Ok(Step::Stuck(why))
        }
        Renewal::Done => {
            let note = "the payment is authorized, or nothing is left to pay";
            let own = hold_id(order_id, old);
            release_hold::end(conn, ctx, &mut order, own, SERVICE_ACTOR, note).await?;
            settle_order(conn, ctx, &mut order).await?;
            task.finish(conn).await?;
            Ok(Step::Finished)
        }
    }
}

fn hold_id(order_id: OrderId, old: &Payment) -> HoldId {
    let name = format!("hold/renewal/{}", old.payment_id);
    HoldId::new(derive(order_id.uuid(), &name))
}

/// Holds what is not released yet; answers why.
async fn declined(
    conn: &mut PgConnection,
    ctx: &Ctx,
    order: &mut Locked,
    old: &Payment,
    declined: &Payment,
) -> Result<String, Error> {
    let why = format!(
        "the renewal of an authorization was declined: {}",
        declined.failure_code
    );
    let hold = HoldBack {
        hold_id: hold_id(order.order_id, old),
        reason: "AWAITING_PAYMENT",
        blocks: vec![HoldBlock::ReleaseToNode],
        note: why.clone(),
    };
    hold_back::place(conn, ctx, order, hold).await?;
    Ok(why)
}
