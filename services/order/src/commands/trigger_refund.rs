//! Writes down what a return gives back: a credit memo, and the task that refunds it.

use oms_core::{OrderLineId, derive};
use oms_postgres::{NewTask, tasks};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use super::task_payload::encode;
use crate::changes::Locked;
use crate::ctx::Ctx;
use crate::domain::invoice::{self, Invoice, InvoiceKind};
use crate::error::Error;
use crate::store::invoices;

/// Task that pays a return back; the key is the order's id.
pub(crate) const REFUND_RETURN_TASK: &str = "refund_return";

/// A refund that the returns service asks for. Payload of [`REFUND_RETURN_TASK`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RefundReturn {
    /// Return.
    pub(crate) return_id: String,
    /// Id of the refund: the same for the same units.
    pub(crate) refund_id: String,
}

impl RefundReturn {
    /// Cause of its payments and its credit memo.
    pub(crate) fn cause(&self) -> String {
        format!("return/{}", self.refund_id)
    }
}

/// Writes a credit memo of the returned units, from the low end of each line, and has it refunded. Once per
/// refund id.
pub(crate) async fn trigger_refund(
    conn: &mut PgConnection,
    ctx: &Ctx,
    order: &Locked,
    refund: &RefundReturn,
    units: &[(OrderLineId, i64)],
    actor: &str,
) -> Result<(), Error> {
    let order_id = order.order_id;
    let credited = invoices::credited(conn, order_id).await?;
    let from = |line: &crate::domain::order::OrderLine| {
        credited
            .get(&line.order_line_id)
            .copied()
            .unwrap_or_default()
    };
    let lines = invoice::lines(order, units, from);
    let memo = Invoice::new(
        order,
        InvoiceKind::CreditMemo,
        refund.cause(),
        lines,
        ctx.now(),
    );
    if !invoices::insert(conn, &memo).await? {
        return Ok(());
    }
    let task = NewTask {
        id: derive(memo.invoice_id.uuid(), REFUND_RETURN_TASK),
        kind: REFUND_RETURN_TASK,
        key: order_id.to_string(),
        payload: encode(refund),
        run_at: ctx.now(),
        actor: actor.to_owned(),
    };
    tasks::insert(conn, &task).await?;
    Ok(())
}
