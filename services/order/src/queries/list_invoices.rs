//! The invoices and credit memos of an order, oldest first.

use oms_core::OrderId;

use crate::ctx::Ctx;
use crate::domain::invoice::Invoice;
use crate::domain::order::Order;
use crate::error::Error;
use crate::store::{invoices, orders};

/// Lists an order's invoices, with the order that their lines are of.
pub(crate) async fn list_invoices(
    ctx: &Ctx,
    order_id: OrderId,
) -> Result<(Order, Vec<Invoice>), Error> {
    let mut conn = ctx.db.snapshot().await?;
    let order = orders::load(&mut conn, order_id)
        .await?
        .ok_or_else(|| Error::order_not_found(order_id))?;
    let found = invoices::list(&mut conn, order_id).await?;
    Ok((order, found))
}
