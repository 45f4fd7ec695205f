//! Writes expected receipts under the lock of the SKU's lane.

use std::collections::BTreeMap;

use oms_core::Violations;
use sqlx::PgConnection;

use crate::domain::expected::{ExpectedKey, ExpectedReceipt};
use crate::domain::refusal::Refusal;
use crate::domain::told::StockFact;
use crate::store;
use crate::store::lanes::Lane;

use super::tell_lanes::tell_lanes;
use super::{Call, Ctx, Error};

/// The lane of the SKU under its lock, and the receipt, if it is there, in the version that the caller names. `field` is
/// where the caller named the SKU.
pub(super) async fn lock_receipt(
    conn: &mut PgConnection,
    key: &ExpectedKey,
    etag: Option<i64>,
    field: &str,
) -> Result<(Lane, Option<ExpectedReceipt>), Error> {
    let lanes = store::lanes::lock(conn, std::slice::from_ref(&key.sku)).await?;
    let Some(lane) = lanes.into_iter().next() else {
        let mut violations = Violations::default();
        violations.push(field, "SKU_UNKNOWN", format!("{} is not known", key.sku));
        return Err(Refusal::Invalid(violations).into());
    };
    let found = get(conn, key).await?;
    let present = found.as_ref().map_or(0, |one| one.version);
    if etag.is_some_and(|etag| etag != present) {
        let sku = key.sku.clone();
        return Err(Refusal::Stale { sku, present }.into());
    }
    Ok((lane, found))
}

/// Writes a receipt and tells of it.
pub(super) async fn write_receipt(
    conn: &mut PgConnection,
    ctx: &Ctx,
    call: &Call,
    lane: Lane,
    receipt: &ExpectedReceipt,
) -> Result<(), Error> {
    store::expected_receipts::write(conn, &[receipt]).await?;
    let facts = vec![StockFact::Expected(receipt.clone())];
    let facts = BTreeMap::from([(lane.sku.clone(), facts)]);
    tell_lanes(conn, ctx, call, &[lane], &facts).await
}

/// The receipt of a call that is repeated, as it is now.
pub(super) async fn replayed(
    conn: &mut PgConnection,
    key: &ExpectedKey,
) -> Result<ExpectedReceipt, Error> {
    get(conn, key).await?.ok_or(Error::Conflict)
}

async fn get(conn: &mut PgConnection, key: &ExpectedKey) -> Result<Option<ExpectedReceipt>, Error> {
    let found = store::expected_receipts::get(conn, &[key.clone()].into()).await?;
    Ok(found.into_iter().next())
}
