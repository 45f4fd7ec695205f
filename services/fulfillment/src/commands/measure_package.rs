//! Records the scale and the tape for a package.

use oms_core::PackSessionId;
use sqlx::PgConnection;

use super::begun;
use super::open_pack_session::{SessionOfOrder, found, locked, save};
use crate::ctx::{Call, Ctx};
use crate::domain::packing::{Measures, PackSessionAction};
use crate::error::Error;
use crate::store;

/// Weighs and measures a package of the session.
pub(crate) async fn measure_package(
    ctx: &Ctx,
    call: &Call,
    id: PackSessionId,
    package_number: i32,
    measures: Measures,
) -> Result<SessionOfOrder, Error> {
    ctx.db
        .run_tx("measure_package", |tx| {
            Box::pin(async move { run(tx.conn(), ctx, call, id, package_number, measures).await })
        })
        .await
}

async fn run(
    conn: &mut PgConnection,
    ctx: &Ctx,
    call: &Call,
    id: PackSessionId,
    package_number: i32,
    measures: Measures,
) -> Result<SessionOfOrder, Error> {
    if let Some(id) = begun(conn, call, id.uuid()).await? {
        return found(conn, PackSessionId::new(id)).await;
    }
    let (mut session, order) = locked(conn, id).await?;
    call.is_about(order.order_id);
    session.take(PackSessionAction::Measure)?;
    if !session.measure(package_number, measures) {
        return Err(Error::reference(
            "package_number",
            "package of this session",
        ));
    }
    save(conn, ctx, &mut session).await?;
    for package in session
        .packages
        .iter()
        .filter(|one| one.number == package_number)
    {
        store::pack_sessions::save_package(conn, session.id, package).await?;
    }
    Ok((session, order))
}
