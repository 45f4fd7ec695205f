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

impl GetOrder {
    /// The answer when there is no such order, or none that the caller may see.
    pub(crate) fn not_found(&self) -> Error {
        let id = match self {
            Self::Id(order_id) => order_id.to_string(),
            Self::Reference(channel_id, reference) => format!("{channel_id}/{reference}"),
        };
        let resource = "order";
        Error::NotFound { resource, id }
    }
}

/// Reads one order.
pub(crate) async fn get_order(ctx: &Ctx, query: &GetOrder) -> Result<Order, Error> {
    let mut conn = ctx.db.read().await?;
    let order_id = match query {
        GetOrder::Id(order_id) => Some(*order_id),
        GetOrder::Reference(channel_id, reference) => {
            orders::find_by_external_reference(&mut conn, channel_id, reference).await?
        }
    };
    let order = match order_id {
        Some(order_id) => orders::load(&mut conn, order_id).await?,
        None => None,
    };
    order.ok_or_else(|| query.not_found())
}
