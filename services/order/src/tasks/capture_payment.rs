//! Captures the money of a shipment, or of a prepaid order.
//!
//! A capture that is declined holds the order, and the task waits for a person: RetryException plans the
//! next attempt, and the hold ends when that one succeeds.

use std::sync::Arc;

use oms_core::{HoldId, OrderId, derive};
use oms_postgres::{Outcome, Task, TaskError};
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};

use super::{order_id_of, task_error};
use crate::changes::{self, Change, Event, Locked};
use crate::commands::release_hold;
use crate::commands::settle_order::{ORDER_CAUSE, settle_order};
use crate::ctx::{Ctx, SERVICE_ACTOR};
use crate::domain::order::{Hold, HoldBlock};
use crate::domain::payment::{Answer, Payment, PaymentKind, PaymentState, open_authorization};
use crate::domain::refund::latest;
use crate::error::Error;
use crate::payments::effects::{self, NewPayment, Ran};
use crate::store::{holds, payments};

/// While a hold stops captures.
const LOOK_AGAIN: Duration = Duration::seconds(5);

/// What is to be done.
enum Begun {
    /// Nothing; the task is finished.
    Nothing,
    /// A hold stops it.
    Later(OffsetDateTime),
    /// Bring this to the provider.
    Run(Payment),
    /// It has its answer already.
    Settled(Payment),
}

/// Handler; the payload is the cause of the capture.
pub(crate) async fn run(ctx: Arc<Ctx>, task: Task) -> Result<Outcome, TaskError> {
    let order_id = order_id_of(&task)?;
    let cause =
        std::str::from_utf8(&task.payload).map_err(|error| TaskError::Stuck(error.to_string()))?;
    let (ctx, task) = (&*ctx, &task);
    let begun = ctx
        .db
        .run_tx("begin_capture", |tx| {
            Box::pin(async move { begin(tx.conn(), ctx, task, order_id, cause).await })
        })
        .await
        .map_err(task_error)?;
    let (payment, answer) = match begun {
        Begun::Nothing => return Ok(Outcome::AlreadyFinished),
        Begun::Later(until) => return Ok(Outcome::RetryAt(until)),
        Begun::Settled(payment) => (payment, None),
        Begun::Run(payment) => match effects::run(ctx, &payment, false).await {
            Ok(Ran::Answered(answer)) => (payment, Some(answer)),
            Ok(Ran::Settled) => (payment, None),
            Ok(Ran::InDoubt(why)) => return Err(TaskError::Retry(why)),
            Err(error) => return Err(task_error(error)),
        },
    };
    let (payment, answer) = (&payment, answer.as_ref());
    let declined = ctx
        .db
        .run_tx("capture_payment", |tx| {
            Box::pin(async move { finish(tx.conn(), ctx, task, cause, payment, answer).await })
        })
        .await
        .map_err(task_error)?;
    ctx.wake_sagas();
    match declined {
        None => Ok(Outcome::AlreadyFinished),
        Some(code) => Err(TaskError::Stuck(format!(
            "capture for {cause} declined: {code}"
        ))),
    }
}

async fn begin(
    conn: &mut PgConnection,
    ctx: &Ctx,
    task: &Task,
    order_id: OrderId,
    cause: &str,
) -> Result<Begun, Error> {
    let order = changes::lock(conn, order_id).await?;
    let ledger = payments::list(conn, order_id).await?;
    let known = latest(&ledger, PaymentKind::Capture, cause);
    if let Some(settled) = known.filter(|payment| payment.state.is_settled()) {
        return Ok(Begun::Settled(settled.clone()));
    }
    let own = hold_id(order_id, cause);
    let stops = |hold: &Hold| {
        hold.active && hold.hold_id != own && hold.blocks.contains(&HoldBlock::Capture)
    };
    if order.holds.iter().any(stops) {
        return Ok(Begun::Later(ctx.now() + LOOK_AGAIN));
    }
    if let Some(payment) = known {
        return Ok(Begun::Run(payment.clone()));
    }
    let planned = match cause {
        ORDER_CAUSE => plan_order(conn, ctx, &order, &ledger).await?,
        _ => None,
    };
    if let Some(payment) = planned {
        return Ok(Begun::Run(payment));
    }
    task.finish(conn).await?;
    Ok(Begun::Nothing)
}

/// Plans the capture of everything that a prepaid order owes by now.
async fn plan_order(
    conn: &mut PgConnection,
    ctx: &Ctx,
    order: &Locked,
    ledger: &[Payment],
) -> Result<Option<Payment>, Error> {
    let Some((authorization, left)) = open_authorization(ledger) else {
        return Ok(None);
    };
    let amount = left.min(order.owed() - order.money.captured);
    if amount <= 0 {
        return Ok(None);
    }
    let new = NewPayment {
        kind: PaymentKind::Capture,
        amount,
        parent: Some(authorization.payment_id),
        cause: ORDER_CAUSE,
        actor: SERVICE_ACTOR,
        send_now: false,
    };
    Ok(Some(effects::plan(conn, ctx, order, &new).await?.0))
}

/// Writes the answer. `Some` is the code of a refusal: the order is held and the task stays.
async fn finish(
    conn: &mut PgConnection,
    ctx: &Ctx,
    task: &Task,
    cause: &str,
    payment: &Payment,
    answer: Option<&Answer>,
) -> Result<Option<String>, Error> {
    let mut order = changes::lock(conn, payment.order_id).await?;
    let settled = if let Some(answer) = answer {
        effects::record(conn, ctx, &mut order, payment, answer, SERVICE_ACTOR).await?
    } else {
        let found = payments::load(conn, payment.payment_id).await?;
        found.unwrap_or_else(|| payment.clone())
    };
    if settled.state != PaymentState::Succeeded {
        hold(conn, ctx, &mut order, cause, &settled.failure_code).await?;
        return Ok(Some(settled.failure_code));
    }
    let own = hold_id(order.order_id, cause);
    let note = "the capture succeeded";
    release_hold::end(conn, ctx, &mut order, own, SERVICE_ACTOR, note).await?;
    settle_order(conn, ctx, &mut order).await?;
    task.finish(conn).await?;
    Ok(None)
}

fn hold_id(order_id: OrderId, cause: &str) -> HoldId {
    HoldId::new(derive(
        order_id.uuid(),
        &format!("hold/capture_failed/{cause}"),
    ))
}

/// Holds what is not shipped and not captured yet. What has shipped stays shipped.
async fn hold(
    conn: &mut PgConnection,
    ctx: &Ctx,
    order: &mut Locked,
    cause: &str,
    code: &str,
) -> Result<(), Error> {
    let hold_id = hold_id(order.order_id, cause);
    if order.holds.iter().any(|hold| hold.hold_id == hold_id) {
        return Ok(());
    }
    let hold = Hold {
        hold_id,
        order_line_id: None,
        reason: "CAPTURE_FAILED".to_owned(),
        blocks: vec![HoldBlock::ReleaseToNode, HoldBlock::Capture],
        active: true,
        note: format!("capture for {cause} declined: {code}"),
        placed_by: SERVICE_ACTOR.to_owned(),
        created_at: ctx.now(),
        release_at: None,
        released_by: String::new(),
        released_at: None,
    };
    holds::insert(conn, order.order_id, &hold).await?;
    order.holds.push(hold.clone());
    let change = Change {
        actor: SERVICE_ACTOR,
        action: "place_hold",
        detail: hold.note.clone(),
        event: Event::HoldPlaced(hold),
    };
    Ok(order.write(conn, ctx, &change).await?)
}
