//! Opens a session for a fulfillment order with picked units that are not packed yet.

use oms_core::{FulfillmentOrderId, PackSessionId};
use sqlx::PgConnection;

use super::{begun, hold_fulfillment_order};
use crate::changes::{self, Axes};
use crate::ctx::{Call, Ctx};
use crate::domain::fulfillment_order::FulfillmentOrder;
use crate::domain::packing::{PackSession, PackSessionState};
use crate::error::Error;
use crate::store;

/// A session with its fulfillment order, which knows the items.
pub(crate) type SessionOfOrder = (PackSession, FulfillmentOrder);

/// Opens a pack session; one at a time.
pub(crate) async fn open_pack_session(
    ctx: &Ctx,
    call: &Call,
    id: FulfillmentOrderId,
) -> Result<SessionOfOrder, Error> {
    ctx.db
        .run_tx("open_pack_session", |tx| {
            Box::pin(async move { run(tx.conn(), ctx, call, id).await })
        })
        .await
}

async fn run(
    conn: &mut PgConnection,
    ctx: &Ctx,
    call: &Call,
    id: FulfillmentOrderId,
) -> Result<SessionOfOrder, Error> {
    let session_id = PackSessionId::generate(ctx.ids.as_ref());
    if let Some(id) = begun(conn, call, session_id.uuid()).await? {
        return found(conn, PackSessionId::new(id)).await;
    }
    let mut order = hold_fulfillment_order::locked(conn, id).await?;
    call.is_about(order.order_id);
    let before = Axes::of(&order);
    order.open_pack_session()?;
    let session = PackSession {
        id: session_id,
        fulfillment_order_id: id,
        state: PackSessionState::Open,
        packed_by: call.actor().to_owned(),
        version: 1,
        packages: Vec::new(),
    };
    store::pack_sessions::insert(conn, &session, ctx.clock.now()).await?;
    changes::save(conn, ctx, call.actor(), &mut order, before, Vec::new()).await?;
    Ok((session, order))
}

/// A session that must be there, with its fulfillment order.
pub(super) async fn found(
    conn: &mut PgConnection,
    id: PackSessionId,
) -> Result<SessionOfOrder, Error> {
    let session = store::pack_sessions::get(conn, id).await?;
    let session = session.ok_or_else(|| Error::not_found("pack_session", id))?;
    let order = hold_fulfillment_order::found(conn, session.fulfillment_order_id).await?;
    Ok((session, order))
}

/// The same, both locked until the transaction ends.
pub(super) async fn locked(
    conn: &mut PgConnection,
    id: PackSessionId,
) -> Result<SessionOfOrder, Error> {
    let session = store::pack_sessions::lock(conn, id).await?;
    let session = session.ok_or_else(|| Error::not_found("pack_session", id))?;
    let order = hold_fulfillment_order::locked(conn, session.fulfillment_order_id).await?;
    Ok((session, order))
}

/// Writes a changed session.
pub(super) async fn save(
    conn: &mut PgConnection,
    ctx: &Ctx,
    session: &mut PackSession,
) -> Result<(), Error> {
    session.version += 1;
    Ok(store::pack_sessions::save(conn, session, ctx.clock.now()).await?)
}
