//! Locations, page by page.

use oms_postgres::{Db, Error};

use crate::domain::location::Location;
use crate::store;

use super::Page;

/// Locations after this id: of these, `None` for all.
pub(crate) async fn list_locations(
    db: &Db,
    among: Option<Vec<String>>,
    after: Option<String>,
    size: i64,
) -> Result<Page<Location, String>, Error> {
    let after = after.unwrap_or_default();
    let mut conn = db.read().await?;
    let rows = store::locations::list(&mut conn, among.as_deref(), &after, size + 1).await?;
    Ok(Page::cut(rows, size, |location| location.id.to_string()))
}
