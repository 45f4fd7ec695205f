//! Captures the money of a shipment, or of a prepaid order: in parts, when it comes from several tenders.
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
use crate::commands::settle_order::settle_order;
use crate::ctx::{Ctx, SERVICE_ACTOR};
use crate::domain::capture::{self, ORDER_CAUSE};
use crate::domain::order::{Hold, HoldBlock};
use crate::domain::payment::{Answer, Payment, PaymentKind};
use crate::domain::refund::{part_cause, parts};
use crate::error::Error;
use crate::payments::effects::{self, NewPayment, Ran, Source};
use crate::store::{holds, payments};

/// While a hold stops captures.
const LOOK_AGAIN: Duration = Duration::seconds(5);

/// What is to be done.
enum Begun {
    /// Nothing; the task is finished.
    Nothing,
    /// A hold stops it.
    Later(OffsetDateTime),
    /// Bring what has no answer of this to the provider.
    Run(Vec<Payment>),
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
    let parts = match begun {
        Begun::Nothing => return Ok(Outcome::AlreadyFinished),
        Begun::Later(until) => return Ok(Outcome::RetryAt(until)),
        Begun::Run(parts) => parts,
    };
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
            Ok(Ran::InDoubt(why)) => return Err(TaskError::Retry(why)),
            Err(error) => return Err(task_error(error)),
        }
    }
    let answered = answered.as_ref();
    let declined = ctx
        .db
        .run_tx("capture_payment", |tx| {
            Box::pin(async move { finish(tx.conn(), ctx, task, order_id, cause, answered).await })
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
    let known: Vec<Payment> = parts(&ledger, PaymentKind::Capture, cause)
        .into_iter()
        .cloned()
        .collect();
    if !known.is_empty() && known.iter().all(|part| part.state.is_settled()) {
        return Ok(Begun::Run(known));
    }
    let own = hold_id(order_id, cause);
    let stops = |hold: &Hold| {
        hold.active && hold.hold_id != own && hold.blocks.contains(&HoldBlock::Capture)
    };
    if order.holds.iter().any(stops) {
        return Ok(Begun::Later(ctx.now() + LOOK_AGAIN));
    }
    if !known.is_empty() {
        return Ok(Begun::Run(known));
    }
    let planned = match cause {
        ORDER_CAUSE => plan_order(conn, ctx, &order, &ledger).await?,
        _ => Vec::new(),
    };
    if !planned.is_empty() {
        return Ok(Begun::Run(planned));
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
) -> Result<Vec<Payment>, Error> {
    let amount = capture::capturable(ledger).min(order.owed() - order.money.captured);
    let mut planned = Vec::new();
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
        planned.push(effects::plan(conn, ctx, order, &new).await?.0);
    }
    Ok(planned)
}

/// Writes the last answer. `Some` is the code of a refusal: the order is held and the task stays.
async fn finish(
    conn: &mut PgConnection,
    ctx: &Ctx,
    task: &Task,
    order_id: OrderId,
    cause: &str,
    answered: Option<&(Payment, Answer)>,
) -> Result<Option<String>, Error> {
    let mut order = changes::lock(conn, order_id).await?;
    if let Some((payment, answer)) = answered {
        effects::record(conn, ctx, &mut order, payment, answer, SERVICE_ACTOR).await?;
    }
    let ledger = payments::list(conn, order_id).await?;
    if let Some((failed, _)) = capture::declined(&ledger, cause, order.owed()).first() {
        hold(conn, ctx, &mut order, cause, &failed.failure_code).await?;
        return Ok(Some(failed.failure_code.clone()));
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
