//! What the tasks that pay money back have in common: a refund in parts, one per capture it goes back over.

use oms_core::OrderId;
use oms_postgres::{Task, TaskError};
use sqlx::PgConnection;
use time::Duration;

use super::task_error;
use crate::changes::Locked;
use crate::ctx::Ctx;
use crate::domain::payment::{Payment, PaymentKind, PaymentState};
use crate::domain::refund::{self, part_cause, refundable, spread};
use crate::error::Error;
use crate::payments::effects::{self, NewPayment, Ran};
use crate::store::payments;

/// Until the money that a refund goes back over is looked at again: a second for captures that are under way, up to a minute
/// for what waits for a person or a carrier.
pub(super) fn pause(task: &Task) -> Duration {
    Duration::seconds(1 << (task.attempt - 1).clamp(0, 6))
}

/// Plans the parts of a refund unless they are planned; less than the amount when less is left. The order
/// is locked.
pub(super) async fn plan(
    conn: &mut PgConnection,
    ctx: &Ctx,
    order: &Locked,
    ledger: &[Payment],
    (amount, cause, actor): (i64, &str, &str),
) -> Result<(), Error> {
    if !refund::parts(ledger, PaymentKind::Refund, cause).is_empty() {
        return Ok(());
    }
    let parts = spread(amount, &refundable(ledger));
    for (number, (capture, part)) in parts.into_iter().enumerate() {
        let new = NewPayment {
            kind: PaymentKind::Refund,
            amount: part,
            source: capture.into(),
            cause: &part_cause(cause, number),
            actor,
            send_now: false,
        };
        effects::plan(conn, ctx, order, &new).await?;
    }
    Ok(())
}

/// Brings every part to the provider; answers the sum that was paid back.
pub(super) async fn run(ctx: &Ctx, order_id: OrderId, cause: &str) -> Result<i64, TaskError> {
    for part in parts(ctx, order_id, cause).await? {
        if part.state.is_settled() {
            continue;
        }
        match effects::run(ctx, &part, false).await.map_err(task_error)? {
            Ran::Settled => {}
            Ran::InDoubt(why) | Ran::NotAsked(why) => return Err(TaskError::Retry(why)),
            Ran::Answered(answer) => {
                let written = effects::write(ctx, &part, &answer, &part.actor).await;
                written.map_err(task_error)?;
            }
        }
    }
    let parts = parts(ctx, order_id, cause).await?;
    if let Some(failed) = parts.iter().find(|part| part.state == PaymentState::Failed) {
        let code = &failed.failure_code;
        return Err(TaskError::Stuck(format!(
            "refund for {cause} declined: {code}"
        )));
    }
    Ok(parts.iter().map(|part| part.amount).sum())
}

async fn parts(ctx: &Ctx, order_id: OrderId, cause: &str) -> Result<Vec<Payment>, TaskError> {
    let mut conn = ctx.db.read().await?;
    let ledger = payments::list(&mut conn, order_id)
        .await
        .map_err(|error| task_error(error.into()))?;
    let found = refund::parts(&ledger, PaymentKind::Refund, cause);
    Ok(found.into_iter().cloned().collect())
}
