//! Ends an order that has nothing left to do, and gives back the money of units that will not ship.

use oms_core::{CancellationId, OrderId, OrderLineId, derive};
use oms_postgres::{NewTask, tasks};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use super::task_payload::encode;
use crate::changes::{Change, Event, Locked};
use crate::ctx::{Ctx, SERVICE_ACTOR};
use crate::domain::capture;
use crate::domain::order::PaymentPolicy;
use crate::domain::settlement::{Settlement, goods_have_ended, settlement};
use crate::domain::state::OrderAction;
use crate::error::{Error, transition};
use crate::store::payments;

/// Task that gives up what is left of an order's authorization; the key is the order's id.
pub(crate) const VOID_PAYMENT_TASK: &str = "void_payment";
/// Task that refunds captured money of canceled units.
pub(crate) const REFUND_CANCELLATION_TASK: &str = "refund_cancellation";

/// Payload of [`REFUND_CANCELLATION_TASK`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RefundCancellation {
    /// Cancellation.
    pub(crate) cancellation_id: CancellationId,
    /// What the canceled units cost, in minor units.
    pub(crate) amount: i64,
}

/// Ends the order if nothing is left to do: completed, or canceled when no unit is left. The order is
/// locked and its counters and money are as they are now.
pub(crate) async fn settle_order(
    conn: &mut PgConnection,
    ctx: &Ctx,
    order: &mut Locked,
) -> Result<(), Error> {
    // Most changes end nothing, which is seen without asking for the payments.
    if !goods_have_ended(order) {
        return Ok(());
    }
    let ledger = payments::list(conn, order.order_id).await?;
    let (action, detail) = match settlement(order, &ledger) {
        Settlement::Open => return Ok(()),
        Settlement::Complete => (OrderAction::Complete, "delivered and paid".to_owned()),
        Settlement::Cancel => {
            let last = order.cancellations.last();
            let reason = last.map_or_else(|| "OTHER".to_owned(), |one| one.reason.clone());
            order.state_reason.clone_from(&reason);
            (OrderAction::Cancel, reason)
        }
    };
    order.state = transition(order, action)?;
    let change = Change {
        actor: SERVICE_ACTOR,
        action: action.as_str(),
        detail,
        event: Event::Ended,
    };
    order.write(conn, ctx, &change).await?;
    if order.money.authorized > 0 {
        insert_void(conn, ctx, order.order_id).await?;
    }
    Ok(())
}

async fn insert_void(conn: &mut PgConnection, ctx: &Ctx, order_id: OrderId) -> Result<(), Error> {
    let task = NewTask {
        id: derive(order_id.uuid(), "void_payment/order"),
        kind: VOID_PAYMENT_TASK,
        key: order_id.to_string(),
        payload: Vec::new(),
        run_at: ctx.now(),
        actor: SERVICE_ACTOR.to_owned(),
    };
    tasks::insert(conn, &task).await?;
    Ok(())
}

/// Inserts the refund of units that were canceled just now, when their money was taken before: their
/// counters are up to date. True when money goes back.
pub(crate) async fn refund_canceled(
    conn: &mut PgConnection,
    ctx: &Ctx,
    order: &Locked,
    cancellation_id: CancellationId,
    units: &[(OrderLineId, i64)],
    actor: &str,
) -> Result<bool, Error> {
    if order.payment_policy != PaymentPolicy::Prepaid {
        return Ok(false);
    }
    // A capture that is not planned yet will leave these units out.
    let ledger = payments::list(conn, order.order_id).await?;
    let canceled = canceled_amount(order, units);
    let amount = capture::refund_due(&ledger, order.owed(), canceled);
    if amount == 0 {
        return Ok(false);
    }
    let payload = RefundCancellation {
        cancellation_id,
        amount,
    };
    let task = NewTask {
        id: derive(cancellation_id.uuid(), REFUND_CANCELLATION_TASK),
        kind: REFUND_CANCELLATION_TASK,
        key: order.order_id.to_string(),
        payload: encode(&payload),
        run_at: ctx.now(),
        actor: actor.to_owned(),
    };
    tasks::insert(conn, &task).await?;
    Ok(true)
}

/// What the last units that were canceled cost: cancellations take units from the high end.
fn canceled_amount(order: &Locked, units: &[(OrderLineId, i64)]) -> i64 {
    units
        .iter()
        .filter_map(|(id, quantity)| Some((order.line(*id)?, quantity)))
        .map(|(line, quantity)| line.part(line.live(), line.live() + quantity).total)
        .sum()
}
