//! Ledger entries of a SKU, page by page.

use oms_core::Sku;
use oms_postgres::{Db, Error};

use crate::store;
use crate::store::ledger::Booked;

use super::Page;

/// What to list.
#[derive(Debug)]
pub(crate) struct LedgerFilter {
    /// SKU.
    pub(crate) sku: Sku,
    /// Locations; `None` for all.
    pub(crate) locations: Option<Vec<String>>,
}

/// Entries before this number, newest first.
pub(crate) async fn list_ledger(
    db: &Db,
    filter: &LedgerFilter,
    before: Option<i64>,
    size: i64,
) -> Result<Page<Booked, i64>, Error> {
    let locations = filter.locations.as_deref();
    let before = before.unwrap_or(i64::MAX);
    let mut conn = db.read().await?;
    let rows = store::ledger::list(&mut conn, &filter.sku, locations, before, size + 1).await?;
    Ok(Page::cut(rows, size, |booked| booked.entry_id))
}
