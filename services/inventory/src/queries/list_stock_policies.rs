//! Stock policies, page by page.

use oms_postgres::{Db, Error};

use crate::domain::policy::StockPolicy;
use crate::store;

use super::Page;

/// Policies of SKUs after this one.
pub(crate) async fn list_stock_policies(
    db: &Db,
    after: Option<String>,
    size: i64,
) -> Result<Page<StockPolicy, String>, Error> {
    let mut conn = db.read().await?;
    let rows = store::policies::list(&mut conn, &after.unwrap_or_default(), size + 1).await?;
    Ok(Page::cut(rows, size, |one| one.sku.to_string()))
}
