//! Ledger entries of a SKU, page by page.

use oms_core::{LocationId, Sku};
use oms_postgres::{Db, Error};

use crate::store;
use crate::store::ledger::Booked;

use super::Page;

/// What to list.
#[derive(Debug)]
pub(crate) struct LedgerFilter {
    /// SKU.
    pub(crate) sku: Sku,
    /// Location; `None` for all.
    pub(crate) location: Option<LocationId>,
}

/// Entries before this number, newest first.
pub(crate) async fn list_ledger(
    db: &Db,
    filter: &LedgerFilter,
    before: Option<i64>,
    size: i64,
) -> Result<Page<Booked, i64>, Error> {
    let location = filter.location.as_ref().map(LocationId::as_str);
    let before = before.unwrap_or(i64::MAX);
    let mut conn = db.read().await?;
    let rows = store::ledger::list(&mut conn, &filter.sku, location, before, size + 1).await?;
    Ok(Page::cut(rows, size, |booked| booked.entry_id))
}
