//! One order, by id or by channel and external reference.

use oms_core::OrderId;

use crate::ctx::Ctx;
use crate::domain::order::Order;
use crate::error::Error;
use crate::store::orders;

/// How the order is named.
#[derive(Debug, Clone)]
pub(crate) enum GetOrder {
    /// By id.
    Id(OrderId),
    /// By channel and external reference.
    Reference(String, String),
}

/// Reads one order.
pub(crate) async fn get_order(ctx: &Ctx, query: &GetOrder) -> Result<Order, Error> {
    let mut conn = ctx.db.read().await?;
    let (order_id, name) = match query {
        GetOrder::Id(order_id) => (Some(*order_id), order_id.to_string()),
        GetOrder::Reference(channel_id, reference) => {
            let found =
                orders::find_by_external_reference(&mut conn, channel_id, reference).await?;
            (found, format!("{channel_id}/{reference}"))
        }
    };
    let order = match order_id {
        Some(order_id) => orders::load(&mut conn, order_id).await?,
        None => None,
    };
    order.ok_or(Error::NotFound {
        resource: "order",
        id: name,
    })
}
