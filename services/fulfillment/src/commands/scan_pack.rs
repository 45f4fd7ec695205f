//! Scans units into a package.

use oms_core::{PackSessionId, PackageId, Violation};
use sqlx::PgConnection;

use super::begun;
use super::open_pack_session::{SessionOfOrder, found, locked, save};
use crate::ctx::{Call, Ctx};
use crate::domain::packing::{PackSession, PackSessionAction};
use crate::error::Error;
use crate::store;

/// A scan.
#[derive(Debug)]
pub(crate) struct PackScan {
    /// Session.
    pub(crate) pack_session_id: PackSessionId,
    /// Number of the package; the next number opens a new one.
    pub(crate) package_number: i32,
    /// Scanned barcode.
    pub(crate) barcode: String,
    /// Units scanned.
    pub(crate) quantity: i64,
}

/// Puts scanned units into a package of the session.
pub(crate) async fn scan_pack(
    ctx: &Ctx,
    call: &Call,
    scan: &PackScan,
) -> Result<SessionOfOrder, Error> {
    ctx.db
        .run_tx("scan_pack", |tx| {
            Box::pin(async move { run(tx.conn(), ctx, call, scan).await })
        })
        .await
}

async fn run(
    conn: &mut PgConnection,
    ctx: &Ctx,
    call: &Call,
    scan: &PackScan,
) -> Result<SessionOfOrder, Error> {
    if let Some(id) = begun(conn, call, scan.pack_session_id.uuid()).await? {
        return found(conn, PackSessionId::new(id)).await;
    }
    let (mut session, mut order) = locked(conn, scan.pack_session_id).await?;
    call.is_about(order.order_id);
    session.take(PackSessionAction::Scan)?;
    if !session.may_scan_into(scan.package_number) {
        return Err(wrong_number(&session));
    }
    let units = order.pack(&scan.barcode, scan.quantity)?;
    let new_id = PackageId::generate(ctx.ids.as_ref());
    session.put(scan.package_number, &units, call.actor(), new_id);
    save(conn, ctx, &mut session).await?;
    for package in session
        .packages
        .iter()
        .filter(|one| one.number == scan.package_number)
    {
        store::pack_sessions::save_package(conn, session.id, package).await?;
    }
    // Units in an open session are nothing that the fulfillment order shows: its version stays.
    store::fulfillment_orders::save(conn, &order).await?;
    Ok((session, order))
}

fn wrong_number(session: &PackSession) -> Error {
    let count = session.packages.len();
    let message =
        format!("the session has {count} packages; name one of them or the next, up to 100");
    let violation = Violation {
        field: "package_number".to_owned(),
        reason: "FIELD_OUT_OF_RANGE",
        message,
    };
    Error::Invalid(violation.into())
}
