//! The payment transactions of an order, and what carriers are to collect for it, oldest first.

use oms_core::OrderId;

use super::known;
use crate::ctx::Ctx;
use crate::domain::collection::Collection;
use crate::domain::payment::Payment;
use crate::error::Error;
use crate::store::{collections, payments};

/// Lists an order's payment transactions and collections.
pub(crate) async fn list_payments(
    ctx: &Ctx,
    order_id: OrderId,
) -> Result<(Vec<Payment>, Vec<Collection>), Error> {
    let mut conn = ctx.db.snapshot().await?;
    known(&mut conn, order_id).await?;
    let payments = payments::list(&mut conn, order_id).await?;
    Ok((payments, collections::list(&mut conn, order_id).await?))
}
