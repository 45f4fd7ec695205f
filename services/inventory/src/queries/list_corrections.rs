//! Corrections, page by page.

use oms_core::Sku;
use oms_postgres::{Db, Error};
use uuid::Uuid;

use crate::domain::correction::{Correction, CorrectionState};
use crate::store;
use crate::store::corrections::Filter;

use super::Page;

/// Corrections in this state and of this SKU, where given; newest first, before this one.
pub(crate) async fn list_corrections(
    db: &Db,
    state: Option<CorrectionState>,
    sku: Option<&Sku>,
    before: Option<Uuid>,
    size: i64,
) -> Result<Page<Correction, Uuid>, Error> {
    let filter = Filter { state, sku };
    let mut conn = db.snapshot().await?;
    let rows = store::corrections::list(&mut conn, filter, before, size + 1).await?;
    Ok(Page::cut(rows, size, |one| one.id.uuid()))
}
