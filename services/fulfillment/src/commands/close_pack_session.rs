//! Closes a session whose packages all have contents, mass and dimensions. Shipping makes one
//! shipment of it.

use oms_core::PackSessionId;
use oms_proto::fulfillment::v1::fulfillment_event::Event;
use sqlx::PgConnection;

use super::begun;
use super::open_pack_session::{SessionOfOrder, found, locked, save};
use crate::changes::{self, Axes};
use crate::ctx::{Call, Ctx};
use crate::domain::packing::PackSessionAction;
use crate::domain::refusal::check_etag;
use crate::error::Error;
use crate::messages;

/// Closes a pack session; `etag` is the version that the caller read.
pub(crate) async fn close_pack_session(
    ctx: &Ctx,
    call: &Call,
    id: PackSessionId,
    etag: Option<i64>,
) -> Result<SessionOfOrder, Error> {
    ctx.db
        .run_tx("close_pack_session", |tx| {
            Box::pin(async move { run(tx.conn(), ctx, call, id, etag).await })
        })
        .await
}

async fn run(
    conn: &mut PgConnection,
    ctx: &Ctx,
    call: &Call,
    id: PackSessionId,
    etag: Option<i64>,
) -> Result<SessionOfOrder, Error> {
    if let Some(id) = begun(conn, call, id.uuid()).await? {
        return found(conn, PackSessionId::new(id)).await;
    }
    let (mut session, mut order) = locked(conn, id).await?;
    call.is_about(order.order_id);
    check_etag(etag, session.version)?;
    session.take(PackSessionAction::Close)?;
    let before = Axes::of(&order);
    order.end_pack_session(true);
    save(conn, ctx, &mut session).await?;
    let event = Event::FulfillmentOrderPacked(messages::packed(&session, &order));
    changes::save(conn, ctx, call.actor(), &mut order, before, vec![event]).await?;
    Ok((session, order))
}
