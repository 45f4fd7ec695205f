//! Captures the money of a shipment, or of a prepaid order: in parts, when it comes from several tenders.
//!
//! A capture that is declined holds the order, and the task waits for a person: RetryException plans the
//! next attempt, and the hold ends when that one succeeds.

use std::sync::Arc;

use oms_core::{HoldId, OrderId, derive};
use oms_postgres::{Outcome, Task, TaskError};
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};

use super::hold_back::{self, HoldBack};
use super::{late_capture, order_id_of, task_error};
use crate::changes::{self, Locked};
use crate::commands::release_hold;
use crate::commands::settle_order::settle_order;
use crate::ctx::{Ctx, SERVICE_ACTOR};
use crate::domain::capture::{self, ORDER_CAUSE};
use crate::domain::order::{Hold, HoldBlock};
use crate::domain::payment::{Answer, Payment, PaymentKind};
use crate::domain::refund::{part_cause, parts};
use crate::error::Error;
use crate::payments::effects::{self, NewPayment, Ran, Source};
use crate::store::payments;

/// While a hold stops captures.
const LOOK_AGAIN: Duration = Duration::seconds(5);

/// What is to be done.
enum Begun {
    /// Nothing; the task is finished.
    Nothing,
    /// A hold stops it.
    Later(OffsetDateTime),
    /// Bring what has no answer to the provider.
    Run,
}

/// What the answers came to.
enum Ended {
    /// Everything is captured and the task is finished.
    Captured,
    /// An authorization had ended: once more, over another one.
    Again,
    /// The order is held and the task stays; why.
    Declined(String),
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
    match begun {
        Begun::Nothing => return Ok(Outcome::AlreadyFinished),
        Begun::Later(until) => return Ok(Outcome::RetryAt(until)),
        Begun::Run => {}
    }
    let parts = late_capture::prepare(ctx, order_id, cause).await?;
    // The answer of the last part is written with the end of the task, those of the others before.
    let mut answered: Option<(Payment, Answer)> = None;
    for part in parts.into_iter().filter(|part| !part.state.is_settled()) {
        if let Some((part, answer)) = answered.take() {
            effects::write(ctx, &part, &answer, SERVICE_ACTOR)
                .await
                .map_err(task_error)?;
        }
        match effects::run(ctx, &part, false).await {
            Ok(Ran::Answered(answer)) => answered = Some((part, answer)),
            Ok(Ran::Settled) => {}
            Ok(Ran::InDoubt(why) | Ran::NotAsked(why)) => return Err(TaskError::Retry(why)),
            Err(error) => return Err(task_error(error)),
        }
    }
    let answered = answered.as_ref();
    let ended = ctx
        .db
        .run_tx("capture_payment", |tx| {
            Box::pin(async move { finish(tx.conn(), ctx, task, order_id, cause, answered).await })
        })
        .await
        .map_err(task_error)?;
    ctx.wake_sagas();
    match ended {
        Ended::Captured => Ok(Outcome::AlreadyFinished),
        Ended::Again => Ok(Outcome::RetryAt(ctx.now())),
        Ended::Declined(why) => Err(TaskError::Stuck(format!(
            "capture for {cause} declined: {why}"
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
    let known = parts(&ledger, PaymentKind::Capture, cause);
    if !known.is_empty() && known.iter().all(|part| part.state.is_settled()) {
        return Ok(Begun::Run);
    }
    let own = hold_id(order_id, cause);
    let stops = |hold: &Hold| {
        hold.active && hold.hold_id != own && hold.blocks.contains(&HoldBlock::Capture)
    };
    if order.holds.iter().any(stops) {
        return Ok(Begun::Later(ctx.now() + LOOK_AGAIN));
    }
    if !known.is_empty() {
        return Ok(Begun::Run);
    }
    if cause == ORDER_CAUSE && plan_order(conn, ctx, &order, &ledger).await? {
        return Ok(Begun::Run);
    }
    task.finish(conn).await?;
    Ok(Begun::Nothing)
}

/// Plans the capture of everything that a prepaid order owes by now; false when that is nothing.
async fn plan_order(
    conn: &mut PgConnection,
    ctx: &Ctx,
    order: &Locked,
    ledger: &[Payment],
) -> Result<bool, Error> {
    let amount = capture::capturable(ledger).min(order.owed() - order.money.captured);
    let mut is_planned = false;
    for (number, (authorization, part)) in
        capture::draw(amount, ledger, &[]).into_iter().enumerate()
    {
        let new = NewPayment {
            kind: PaymentKind::Capture,
            amount: part,
            source: authorization.map_or(Source::Tender(1), Source::Payment),
            cause: &part_cause(ORDER_CAUSE, number),
            actor: SERVICE_ACTOR,
            send_now: false,
        };
        effects::plan(conn, ctx, order, &new).await?;
        is_planned = true;
    }
    Ok(is_planned)
}

/// Writes the last answer. A refusal holds the order.
async fn finish(
    conn: &mut PgConnection,
    ctx: &Ctx,
    task: &Task,
    order_id: OrderId,
    cause: &str,
    answered: Option<&(Payment, Answer)>,
) -> Result<Ended, Error> {
    let mut order = changes::lock(conn, order_id).await?;
    if let Some((payment, answer)) = answered {
        effects::record(conn, ctx, &mut order, payment, answer, SERVICE_ACTOR).await?;
    }
    let ledger = payments::list(conn, order_id).await?;
    if let Some((failed, _)) = capture::declined(&ledger, cause, order.owed()).first() {
        if late_capture::is_tried_again(ctx, &ledger, failed) {
            return Ok(Ended::Again);
        }
        let why = late_capture::why(&ledger, failed);
        hold(conn, ctx, &mut order, cause, &why).await?;
        return Ok(Ended::Declined(why));
    }
    let own = hold_id(order.order_id, cause);
    let note = "the capture succeeded";
    release_hold::end(conn, ctx, &mut order, own, SERVICE_ACTOR, note).await?;
    settle_order(conn, ctx, &mut order).await?;
    task.finish(conn).await?;
    Ok(Ended::Captured)
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
    why: &str,
) -> Result<(), Error> {
    let hold = HoldBack {
        hold_id: hold_id(order.order_id, cause),
        reason: "CAPTURE_FAILED",
        blocks: vec![HoldBlock::ReleaseToNode, HoldBlock::Capture],
        note: format!("capture for {cause} declined: {why}"),
    };
    hold_back::place(conn, ctx, order, hold).await
}
