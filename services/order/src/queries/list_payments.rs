//! The payment transactions of an order, oldest first.

use oms_core::OrderId;

use super::known;
use crate::ctx::Ctx;
use crate::domain::payment::Payment;
use crate::error::Error;
use crate::store::payments;

/// Lists an order's payment transactions.
pub(crate) async fn list_payments(ctx: &Ctx, order_id: OrderId) -> Result<Vec<Payment>, Error> {
    let mut conn = ctx.db.read().await?;
    known(&mut conn, order_id).await?;
    Ok(payments::list(&mut conn, order_id).await?)
}
