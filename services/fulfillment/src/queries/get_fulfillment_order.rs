//! Answers one fulfillment order.

use oms_core::FulfillmentOrderId;

use crate::ctx::Ctx;
use crate::domain::fulfillment_order::FulfillmentOrder;
use crate::error::Error;
use crate::store;

/// Answers one fulfillment order.
pub(crate) async fn get_fulfillment_order(
    ctx: &Ctx,
    id: FulfillmentOrderId,
) -> Result<FulfillmentOrder, Error> {
    let mut conn = ctx.db.read().await?;
    let found = store::fulfillment_orders::get(&mut conn, id).await?;
    found.ok_or_else(|| Error::not_found("fulfillment_order", id))
}
