//! Pays back an amount that somebody asked for, and writes a credit memo for it.

use std::sync::Arc;

use oms_core::OrderId;
use oms_postgres::{Outcome, Task, TaskError};
use sqlx::PgConnection;

use super::{order_id_of, refunds, task_error};
use crate::changes;
use crate::commands::record_shipment::insert_issue;
use crate::commands::settle_order::settle_order;
use crate::ctx::Ctx;
use crate::domain::invoice::{self, Invoice, InvoiceKind};
use crate::error::Error;
use crate::store::invoices;

/// Handler of [`crate::commands::refund_payment::REFUND_PAYMENT_TASK`]; the payload is the cause, whose
/// payments are planned.
pub(crate) async fn run(ctx: Arc<Ctx>, task: Task) -> Result<Outcome, TaskError> {
    let order_id = order_id_of(&task)?;
    let cause =
        std::str::from_utf8(&task.payload).map_err(|error| TaskError::Stuck(error.to_string()))?;
    let (ctx, task) = (&*ctx, &task);
    let paid = refunds::run(ctx, order_id, cause).await?;
    ctx.db
        .run_tx("refund_payment", |tx| {
            Box::pin(async move { finish(tx.conn(), ctx, task, order_id, cause, paid).await })
        })
        .await
        .map_err(task_error)?;
    Ok(Outcome::AlreadyFinished)
}

async fn finish(
    conn: &mut PgConnection,
    ctx: &Ctx,
    task: &Task,
    order_id: OrderId,
    cause: &str,
    paid: i64,
) -> Result<(), Error> {
    let mut order = changes::lock(conn, order_id).await?;
    let lines = vec![invoice::amount_line(paid)];
    let memo = Invoice::new(
        &order,
        InvoiceKind::CreditMemo,
        cause.to_owned(),
        lines,
        ctx.now(),
    );
    if invoices::insert(conn, &memo).await? {
        insert_issue(conn, ctx, order_id, memo.invoice_id).await?;
    }
    settle_order(conn, ctx, &mut order).await?;
    Ok(task.finish(conn).await?)
}
