//! Pays back what a return gives, exactly as its credit memo says.

use std::sync::Arc;

use oms_core::{Money, OrderId};
use oms_postgres::{Outcome, Task, TaskError};
use oms_proto::order::v1 as pb;
use oms_proto::order::v1::order_event::Event as Message;
use sqlx::PgConnection;

use super::{order_id_of, refunds, task_error};
use crate::changes::{self, Change, Event};
use crate::commands::record_shipment::{capture_tasks, insert_issue};
use crate::commands::settle_order::settle_order;
use crate::commands::task_payload::decode;
use crate::commands::trigger_refund::RefundReturn;
use crate::ctx::Ctx;
use crate::domain::collection::CollectionState;
use crate::domain::invoice::{Invoice, InvoiceKind};
use crate::domain::order::{Order, PaymentPolicy};
use crate::domain::refund::{captures_are_open, refundable};
use crate::error::Error;
use crate::messages;
use crate::store::{StoreError, collections, invoices, payments};

/// Handler of [`crate::commands::trigger_refund::REFUND_RETURN_TASK`].
pub(crate) async fn run(ctx: Arc<Ctx>, task: Task) -> Result<Outcome, TaskError> {
    let order_id = order_id_of(&task)?;
    let refund: RefundReturn = decode(&task.payload).map_err(TaskError::Stuck)?;
    let (ctx, task, refund) = (&*ctx, &task, &refund);
    let ready = ctx
        .db
        .run_tx("begin_refund", |tx| {
            Box::pin(async move { begin(tx.conn(), ctx, task, order_id, refund).await })
        })
        .await
        .map_err(task_error)?;
    if !ready {
        return Ok(Outcome::RetryAt(ctx.now() + refunds::pause(task)));
    }
    let paid = refunds::run(ctx, order_id, &refund.cause()).await?;
    ctx.db
        .run_tx("refund_return", |tx| {
            Box::pin(async move { finish(tx.conn(), ctx, task, order_id, refund, paid).await })
        })
        .await
        .map_err(task_error)?;
    Ok(Outcome::AlreadyFinished)
}

/// Plans the payments; false while there is not enough to pay back and more is to come: a capture that was declined may be
/// tried again, a carrier has yet to collect. What comes later would be taken for goods that are back.
async fn begin(
    conn: &mut PgConnection,
    ctx: &Ctx,
    task: &Task,
    order_id: OrderId,
    refund: &RefundReturn,
) -> Result<bool, Error> {
    let order = changes::lock(conn, order_id).await?;
    if order.payment_policy == PaymentPolicy::None {
        return Ok(true);
    }
    let ledger = payments::list(conn, order_id).await?;
    if captures_are_open(&ledger) {
        return Ok(false);
    }
    let memo = memo(conn, order_id, refund).await?;
    let left: i64 = refundable(&ledger).iter().map(|(_, left)| left).sum();
    if left < memo.total && money_is_to_come(conn, &order).await? {
        return Ok(false);
    }
    let what = (memo.total, refund.cause(), task.actor.as_str());
    refunds::plan(conn, ctx, &order, &ledger, (what.0, &what.1, what.2)).await?;
    Ok(true)
}

/// Whether a capture waits for its turn or for a person, or a carrier has yet to collect.
async fn money_is_to_come(conn: &mut PgConnection, order: &Order) -> Result<bool, Error> {
    let known = collections::list(conn, order.order_id).await?;
    if known.iter().any(|one| one.state == CollectionState::Due) {
        return Ok(true);
    }
    Ok(payments::has_open_task(conn, &capture_tasks(order)).await?)
}

async fn memo(
    conn: &mut PgConnection,
    order_id: OrderId,
    refund: &RefundReturn,
) -> Result<Invoice, Error> {
    let found = invoices::find(conn, order_id, InvoiceKind::CreditMemo, &refund.cause()).await?;
    // The memo is written with the task.
    Ok(found.ok_or_else(|| StoreError::inconsistent("invoices", "cause", &refund.refund_id))?)
}

async fn finish(
    conn: &mut PgConnection,
    ctx: &Ctx,
    task: &Task,
    order_id: OrderId,
    refund: &RefundReturn,
    paid: i64,
) -> Result<(), Error> {
    let mut order = changes::lock(conn, order_id).await?;
    let memo = memo(conn, order_id, refund).await?;
    for line in &mut order.lines {
        let of_line = |one: &&crate::domain::invoice::InvoiceLine| {
            one.order_line_id == Some(line.order_line_id)
        };
        let units: i64 = memo
            .lines
            .iter()
            .filter(of_line)
            .map(|one| one.quantity)
            .sum();
        line.counters.refunded += units;
    }
    let amount = Money::new(order.currency, paid);
    let mut detail = format!("{amount} for return {}", refund.return_id);
    if paid < memo.total && order.payment_policy != PaymentPolicy::None {
        let worth = Money::new(order.currency, memo.total);
        detail = format!("{detail}; its units cost {worth}, no more was captured");
    }
    let message = pb::ReturnRefunded {
        order_id: order_id.to_string(),
        return_id: refund.return_id.clone(),
        refund_id: refund.refund_id.clone(),
        amount: messages::money(order.currency, paid),
        lines: messages::invoice_lines(&order, &memo),
    };
    let change = Change {
        actor: &task.actor,
        action: "refund_return",
        detail,
        event: Event::Message(Box::new(Message::ReturnRefunded(message))),
    };
    order.write(conn, ctx, &change).await?;
    insert_issue(conn, ctx, order_id, memo.invoice_id).await?;
    settle_order(conn, ctx, &mut order).await?;
    Ok(task.finish(conn).await?)
}
