//! Gives a session up and unpacks its units.

use oms_core::PackSessionId;
use sqlx::PgConnection;

use super::begun;
use super::open_pack_session::{SessionOfOrder, found, locked, save};
use crate::changes::{self, Axes};
use crate::ctx::{Call, Ctx};
use crate::domain::packing::PackSessionAction;
use crate::domain::refusal::check_etag;
use crate::error::Error;

/// Abandons a pack session; `etag` is the version that the caller read.
pub(crate) async fn abandon_pack_session(
    ctx: &Ctx,
    call: &Call,
    id: PackSessionId,
    etag: Option<i64>,
) -> Result<SessionOfOrder, Error> {
    ctx.db
        .run_tx("abandon_pack_session", |tx| {
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
    session.take(PackSessionAction::Abandon)?;
    let before = Axes::of(&order);
    order.end_pack_session(false);
    save(conn, ctx, &mut session).await?;
    changes::save(conn, ctx, call.actor(), &mut order, before, Vec::new()).await?;
    Ok((session, order))
}
