//! Gives an invoice its number and tells of it. The numbers of a kind have no gap, since the transaction
//! that counts is the one that uses the number.

use std::sync::Arc;

use oms_core::{InvoiceId, Money};
use oms_postgres::{Outcome, Task, TaskError};
use oms_proto::order::v1 as pb;
use oms_proto::order::v1::order_event::Event as Message;
use sqlx::PgConnection;

use super::{order_id_of, task_error};
use crate::changes::{self, Change, Event};
use crate::ctx::Ctx;
use crate::error::Error;
use crate::messages;
use crate::store::invoices;

/// Handler of [`crate::commands::record_shipment::ISSUE_INVOICE_TASK`].
pub(crate) async fn run(ctx: Arc<Ctx>, task: Task) -> Result<Outcome, TaskError> {
    order_id_of(&task)?;
    let invoice_id = std::str::from_utf8(&task.payload)
        .map_err(|error| TaskError::Stuck(error.to_string()))?
        .parse::<InvoiceId>()
        .map_err(|error| TaskError::Stuck(error.to_string()))?;
    let (ctx, task) = (&*ctx, &task);
    ctx.db
        .run_tx("issue_invoice", |tx| {
            Box::pin(async move {
                let conn = tx.conn();
                issue(conn, ctx, task, invoice_id).await?;
                Ok::<_, Error>(task.finish(conn).await?)
            })
        })
        .await
        .map_err(task_error)?;
    Ok(Outcome::AlreadyFinished)
}

async fn issue(
    conn: &mut PgConnection,
    ctx: &Ctx,
    task: &Task,
    invoice_id: InvoiceId,
) -> Result<(), Error> {
    let not_found = || Error::NotFound {
        resource: "invoice",
        id: invoice_id.to_string(),
    };
    let invoice = invoices::load(conn, invoice_id)
        .await?
        .ok_or_else(not_found)?;
    // The order first, as everywhere; the counter last and for the shortest time.
    let mut order = changes::lock(conn, invoice.order_id).await?;
    if !invoices::give_number(conn, invoice_id, invoice.kind).await? {
        return Ok(());
    }
    let invoice = invoices::load(conn, invoice_id)
        .await?
        .ok_or_else(not_found)?;
    let amount = Money::new(invoice.currency, invoice.total);
    let message = pb::InvoiceIssued {
        invoice: Some(messages::invoice(&order, &invoice)),
    };
    let change = Change {
        actor: &task.actor,
        action: "issue_invoice",
        detail: format!("{} over {amount} for {}", invoice.number, invoice.cause),
        event: Event::Message(Box::new(Message::InvoiceIssued(message))),
    };
    Ok(order.write(conn, ctx, &change).await?)
}
