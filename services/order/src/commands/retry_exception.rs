//! Lets work that was parked try again. A payment that was declined gets a new attempt.

use oms_core::OrderId;
use oms_postgres::{idempotency, tasks};
use sqlx::PgConnection;
use uuid::Uuid;

use super::refund_payment::REFUND_PAYMENT_TASK;
use super::settle_order::{REFUND_CANCELLATION_TASK, RefundCancellation, VOID_PAYMENT_TASK};
use super::task_payload::decode;
use super::trigger_refund::{REFUND_RETURN_TASK, RefundReturn};
use crate::changes::{self, Change, Event, Locked};
use crate::ctx::{Caller, Ctx};
use crate::domain::capture::{self, CAPTURE_PAYMENT_TASK};
use crate::domain::order::Order;
use crate::domain::payment::{Payment, PaymentKind, PaymentState};
use crate::domain::refund::{next_cause, parts, voids};
use crate::domain::renewal::{self, Renewal};
use crate::error::Error;
use crate::payments::effects::{self, NewPayment, Source};
use crate::payments::renewal::{RENEW_AUTHORIZATION_TASK, payment_id_of};
use crate::store::stuck_tasks::{self, StuckTask};
use crate::store::{payments, sagas};

const METHOD: &str = "RetryException";

/// A request to try again.
#[derive(Debug)]
pub(crate) struct RetryException {
    /// Id of the stuck task, or of the order whose saga is stuck.
    pub(crate) exception_id: Uuid,
    /// Why, for the timeline.
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
        let change = Change {
            actor: &actor,
            action: "retry_exception",
            detail: format!("{step}: {}", command.note),
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
    for (failed, amount) in declined(&order, task, &ledger) {
        let own = ledger
            .iter()
            .find(|one| Some(one.payment_id) == failed.parent_payment_id);
        let parent = match failed.kind {
            PaymentKind::Capture => capture::source(&ledger, failed),
            _ => own,
        };
        let new = NewPayment {
            kind: failed.kind,
            amount,
            source: parent.map_or(Source::Tender(failed.tender), Source::Payment),
            cause: &next_cause(&failed.cause),
            actor: &caller.actor(),
            send_now: false,
        };
        effects::plan(conn, ctx, &order, &new).await?;
    }
    Ok(Some(order))
}

/// The payments of a task whose last attempt was declined, with the amount of the next one.
fn declined<'a>(order: &Order, task: &StuckTask, ledger: &'a [Payment]) -> Vec<(&'a Payment, i64)> {
    let payload = task.payload.as_slice();
    let text = std::str::from_utf8(payload).unwrap_or_default();
    let refund = |cause: &str| parts(ledger, PaymentKind::Refund, cause);
    let found: Vec<&Payment> = match task.kind.as_str() {
        CAPTURE_PAYMENT_TASK => return capture::declined(ledger, text, order.owed()),
        RENEW_AUTHORIZATION_TASK => return declined_renewal(order, payload, ledger),
        VOID_PAYMENT_TASK => voids(ledger),
        REFUND_PAYMENT_TASK => refund(text),
        REFUND_RETURN_TASK => match decode::<RefundReturn>(payload) {
            Ok(task) => refund(&task.cause()),
            Err(_) => Vec::new(),
        },
        REFUND_CANCELLATION_TASK => match decode::<RefundCancellation>(payload) {
            Ok(task) => refund(&format!("cancellation/{}", task.cancellation_id)),
            Err(_) => Vec::new(),
        },
        _ => Vec::new(),
    };
    found
        .into_iter()
        .filter(|payment| payment.state == PaymentState::Failed)
        .map(|payment| (payment, payment.amount))
        .collect()
}

/// The declined renewal of an authorization, while anything depends on it.
fn declined_renewal<'a>(
    order: &Order,
    payload: &[u8],
    ledger: &'a [Payment],
) -> Vec<(&'a Payment, i64)> {
    let id = payment_id_of(payload);
    let Some(old) = ledger.iter().find(|one| Some(one.payment_id) == id) else {
        return Vec::new();
    };
    let owed = order.owed();
    match renewal::next(order.state, owed, ledger, old) {
        Renewal::Declined(failed) => vec![(failed, renewal::needed(ledger, owed, old))],
        _ => Vec::new(),
    }
}
