//! Lets work that was parked try again. A payment that was declined gets a new attempt.

use oms_core::{OrderId, PaymentId};
use oms_postgres::{idempotency, tasks};
use sqlx::PgConnection;
use uuid::Uuid;

use super::record_shipment::CAPTURE_PAYMENT_TASK;
use super::refund_payment::REFUND_PAYMENT_TASK;
use super::settle_order::{
    ORDER_CAUSE, REFUND_CANCELLATION_TASK, RefundCancellation, VOID_PAYMENT_TASK,
};
use super::task_payload::decode;
use super::trigger_refund::{REFUND_RETURN_TASK, RefundReturn};
use crate::changes::{self, Change, Event, Locked};
use crate::ctx::{Caller, Ctx};
use crate::domain::payment::{Payment, PaymentKind, PaymentState, open_authorization};
use crate::domain::refund::{latest, next_cause, refund_parts};
use crate::error::Error;
use crate::payments::effects::{self, NewPayment};
use crate::store::stuck_tasks::{self, StuckTask};
use crate::store::{payments, sagas};

const METHOD: &str = "RetryException";

/// A request to try again.
#[derive(Debug)]
pub(crate) struct RetryException {
    /// Id of the stuck task, or of the order whose saga is stuck.
    pub(crate) exception_id: Uuid,
    /// Note for the timeline.
    pub(crate) note: String,
}

/// Gives a stuck saga or task another round. Known exceptions that are not stuck are not found.
pub(crate) async fn retry_exception(
    ctx: &Ctx,
    caller: &Caller,
    command: &RetryException,
) -> Result<(), Error> {
    ctx.db
        .run_tx("retry_exception", |tx| {
            Box::pin(async move { retry(ctx, tx.conn(), caller, command).await })
        })
        .await?;
    ctx.wake_sagas();
    Ok(())
}

async fn retry(
    ctx: &Ctx,
    conn: &mut PgConnection,
    caller: &Caller,
    command: &RetryException,
) -> Result<(), Error> {
    let key = caller.key(METHOD);
    if idempotency::check(conn, &key).await?.is_some() {
        return Ok(());
    }
    let id = command.exception_id;
    let not_found = || Error::NotFound {
        resource: "exception",
        id: id.to_string(),
    };
    let (step, order) = if let Some(task) = stuck_tasks::find(conn, id).await? {
        let order = retry_task(ctx, conn, caller, &task).await?;
        if !tasks::retry(conn, id).await? {
            return Err(not_found());
        }
        (task.kind, order)
    } else {
        let order_id = OrderId::new(id);
        let saga = sagas::load(conn, order_id).await?.ok_or_else(not_found)?;
        let order = changes::lock(conn, order_id).await?;
        if !sagas::retry_stuck(conn, order_id, ctx.now()).await? {
            return Err(not_found());
        }
        (saga.step.as_str().to_owned(), Some(order))
    };
    if let Some(mut order) = order {
        oms_telemetry::record_order_id(&tracing::Span::current(), order.order_id);
        let actor = caller.actor();
        let mut detail = step;
        if !command.note.is_empty() {
            detail = format!("{detail}: {}", command.note);
        }
        let change = Change {
            actor: &actor,
            action: "retry_exception",
            detail,
            event: Event::Updated,
        };
        order.write(conn, ctx, &change).await?;
    }
    Ok(idempotency::record(conn, &key, &id.to_string()).await?)
}

/// Locks the order of a task, if it has one, and plans declined payments again.
async fn retry_task(
    ctx: &Ctx,
    conn: &mut PgConnection,
    caller: &Caller,
    task: &StuckTask,
) -> Result<Option<Locked>, Error> {
    let Some(order_id) = task.order_id else {
        return Ok(None);
    };
    let order = changes::lock(conn, order_id).await?;
    let ledger = payments::list(conn, order_id).await?;
    for failed in declined(task, &ledger) {
        let (amount, parent) = match task.kind.as_str() {
            CAPTURE_PAYMENT_TASK => capture(&order, &ledger, failed),
            _ => (failed.amount, failed.parent_payment_id),
        };
        if amount <= 0 {
            continue;
        }
        let new = NewPayment {
            kind: failed.kind,
            amount,
            parent,
            cause: &next_cause(&failed.cause),
            actor: &caller.actor(),
            send_now: false,
        };
        effects::plan(conn, ctx, &order, &new).await?;
    }
    Ok(Some(order))
}

/// Amount and authorization of the next attempt of a capture. Units of a prepaid order may have been
/// canceled since.
fn capture(order: &Locked, ledger: &[Payment], failed: &Payment) -> (i64, Option<PaymentId>) {
    let open = open_authorization(ledger);
    let parent = open.map_or(failed.parent_payment_id, |(one, _)| Some(one.payment_id));
    if !failed.cause.starts_with(ORDER_CAUSE) {
        return (failed.amount, parent);
    }
    let owed = order.owed() - order.money.captured;
    (failed.amount.min(owed), parent)
}

/// The payments of a task whose last attempt was declined.
fn declined<'a>(task: &StuckTask, ledger: &'a [Payment]) -> Vec<&'a Payment> {
    let payload = task.payload.as_slice();
    let text = std::str::from_utf8(payload).unwrap_or_default();
    let found: Vec<&Payment> = match task.kind.as_str() {
        CAPTURE_PAYMENT_TASK => latest(ledger, PaymentKind::Capture, text)
            .into_iter()
            .collect(),
        VOID_PAYMENT_TASK => latest(ledger, PaymentKind::Void, ORDER_CAUSE)
            .into_iter()
            .collect(),
        REFUND_PAYMENT_TASK => refund_parts(ledger, text),
        REFUND_RETURN_TASK => match decode::<RefundReturn>(payload) {
            Ok(refund) => refund_parts(ledger, &refund.cause()),
            Err(_) => Vec::new(),
        },
        REFUND_CANCELLATION_TASK => match decode::<RefundCancellation>(payload) {
            Ok(refund) => refund_parts(ledger, &format!("cancellation/{}", refund.cancellation_id)),
            Err(_) => Vec::new(),
        },
        _ => Vec::new(),
    };
    let failed = |payment: &&Payment| payment.state == PaymentState::Failed;
    found.into_iter().filter(failed).collect()
}
