//! Lists fulfillment orders, oldest first.

use oms_core::OrderId;

use super::Position;
use crate::ctx::Ctx;
use crate::domain::fulfillment_order::FulfillmentOrder;
use crate::domain::state::State;
use crate::error::Error;
use crate::store::{self, Page, fulfillment_orders::Filter};

/// A page of fulfillment orders.
#[derive(Debug)]
pub(crate) struct FulfillmentOrderList {
    /// Only of these locations; `None` for all.
    pub(crate) locations: Option<Vec<String>>,
    /// Only of this order.
    pub(crate) order_id: Option<OrderId>,
    /// Only in these states; empty for all.
    pub(crate) states: Vec<State>,
    /// Where the page before ended.
    pub(crate) after: Option<Position>,
    /// Most in the page.
    pub(crate) page_size: i64,
}

/// Answers a page, and where it ends when there are more.
pub(crate) async fn list_fulfillment_orders(
    ctx: &Ctx,
    list: FulfillmentOrderList,
) -> Result<(Vec<FulfillmentOrder>, Option<Position>), Error> {
    let FulfillmentOrderList {
        locations,
        order_id,
        states,
        after,
        page_size,
    } = list;
    let filter = Filter {
        locations,
        order_id,
        states,
    };
    // One more than asked for tells whether there is another page.
    let page = Page {
        after,
        limit: page_size + 1,
    };
    let mut conn = ctx.db.snapshot().await?;
    let mut orders = store::fulfillment_orders::list(&mut conn, &filter, page).await?;
    let is_more = i64::try_from(orders.len()).is_ok_and(|count| count > page_size);
    if !is_more {
        return Ok((orders, None));
    }
    orders.pop();
    let last = orders
        .last()
        .map(|order| (order.created_at, order.id.uuid()));
    Ok((orders, last))
}
