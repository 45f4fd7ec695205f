//! Answers one pack session.

use oms_core::PackSessionId;

use crate::ctx::Ctx;
use crate::domain::fulfillment_order::FulfillmentOrder;
use crate::domain::packing::PackSession;
use crate::error::Error;
use crate::store;

/// Answers one pack session with its fulfillment order, which knows the items.
pub(crate) async fn get_pack_session(
    ctx: &Ctx,
    id: PackSessionId,
) -> Result<(PackSession, FulfillmentOrder), Error> {
    let mut conn = ctx.db.snapshot().await?;
    let session = store::pack_sessions::get(&mut conn, id).await?;
    let session = session.ok_or_else(|| Error::not_found("pack_session", id))?;
    let order_id = session.fulfillment_order_id;
    let order = store::fulfillment_orders::get(&mut conn, order_id).await?;
    let order = order.ok_or_else(|| Error::not_found("fulfillment_order", order_id))?;
    oms_telemetry::record_order_id(&tracing::Span::current(), order.order_id);
    Ok((session, order))
}
