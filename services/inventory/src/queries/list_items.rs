//! Items, page by page.

use oms_postgres::{Db, Error};

use crate::domain::item::Item;
use crate::store;

use super::Page;

/// Items after this SKU.
pub(crate) async fn list_items(
    db: &Db,
    after: Option<String>,
    size: i64,
) -> Result<Page<Item, String>, Error> {
    let mut conn = db.snapshot().await?;
    let rows = store::items::list(&mut conn, &after.unwrap_or_default(), size + 1).await?;
    Ok(Page::cut(rows, size, |item| item.sku.to_string()))
}
