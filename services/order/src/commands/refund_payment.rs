//! Pays an amount back beyond returns, such as goodwill.

use oms_core::{Money, OrderId, PaymentId, Violations, derive};
use oms_postgres::{NewTask, idempotency, tasks};
use sqlx::PgConnection;

use crate::changes::{self, Change, Event};
use crate::ctx::{Caller, Ctx};
use crate::domain::payment::{Payment, PaymentKind};
use crate::domain::refund::{goodwill_cause, part_cause, refundable, spread};
use crate::domain::state::OrderAction;
use crate::error::{Error, check_etag, transition};
use crate::payments::effects::{self, NewPayment};
use crate::store::{StoreError, payments};

const METHOD: &str = "RefundPayment";
/// Task that brings a refund to the provider; the key is the order's id, the payload the cause.
pub(crate) const REFUND_PAYMENT_TASK: &str = "refund_payment";

/// A request to pay an amount back.
#[derive(Debug)]
pub(crate) struct RefundPayment {
    /// Order.
    pub(crate) order_id: OrderId,
    /// Version of the order that the caller read.
    pub(crate) etag: Option<i64>,
    /// Amount, above zero.
    pub(crate) amount: Money,
    /// Why.
    pub(crate) reason: String,
}

/// Plans the refund, over several captures if it takes them, and has it sent. Answers its first part.
pub(crate) async fn refund_payment(
    ctx: &Ctx,
    caller: &Caller,
    command: &RefundPayment,
) -> Result<Payment, Error> {
    ctx.db
        .run_tx("refund_payment", |tx| {
            Box::pin(async move { refund(ctx, tx.conn(), caller, command).await })
        })
        .await
}

async fn refund(
    ctx: &Ctx,
    conn: &mut PgConnection,
    caller: &Caller,
    command: &RefundPayment,
) -> Result<Payment, Error> {
    let key = caller.key(METHOD);
    if let Some(id) = idempotency::check(conn, &key).await? {
        return find(conn, &id).await;
    }
    let mut order = changes::lock(conn, command.order_id).await?;
    if command.amount.currency != order.currency {
        let mut violations = Violations::default();
        let message = format!("the order is in {}", order.currency);
        violations.push("amount.currency_code", "CURRENCY_MIXED", message);
        return Err(violations.into());
    }
    check_etag(command.etag, order.version)?;
    transition(&order, OrderAction::Refund)?;
    let ledger = payments::list(conn, order.order_id).await?;
    let left = refundable(&ledger);
    let most: i64 = left.iter().map(|(_, left)| left).sum();
    let amount = command.amount.minor;
    if amount > most {
        return Err(Error::RefundExceedsCaptured { refundable: most });
    }
    let cause = goodwill_cause(caller.request_id);
    let actor = caller.actor();
    let mut first = None;
    for (number, (capture, part)) in spread(amount, &left).into_iter().enumerate() {
        let new = NewPayment {
            kind: PaymentKind::Refund,
            amount: part,
            source: capture.into(),
            cause: &part_cause(&cause, number),
            actor: &actor,
            send_now: false,
        };
        let (planned, _) = effects::plan(conn, ctx, &order, &new).await?;
        first.get_or_insert(planned);
    }
    // The amount is above zero and at most what is left, so there is a first part.
    let first = first.ok_or(Error::RefundExceedsCaptured { refundable: most })?;
    let change = Change {
        actor: &actor,
        action: "request_refund",
        detail: format!("{}: {}", command.amount, command.reason),
        event: Event::Updated,
    };
    order.write(conn, ctx, &change).await?;
    let task = NewTask {
        id: derive(first.payment_id.uuid(), REFUND_PAYMENT_TASK),
        kind: REFUND_PAYMENT_TASK,
        key: order.order_id.to_string(),
        payload: cause.into_bytes(),
        run_at: ctx.now(),
        actor,
    };
    tasks::insert(conn, &task).await?;
    idempotency::record(conn, &key, &first.payment_id.to_string()).await?;
    Ok(first)
}

async fn find(conn: &mut PgConnection, payment_id: &str) -> Result<Payment, Error> {
    let found = match payment_id.parse::<PaymentId>() {
        Ok(payment_id) => payments::load(conn, payment_id).await?,
        Err(_) => None,
    };
    let unknown = || StoreError::inconsistent("idempotency", "resource_id", payment_id);
    Ok(found.ok_or_else(unknown)?)
}
