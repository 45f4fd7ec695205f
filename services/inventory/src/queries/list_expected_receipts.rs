//! Expected receipts, page by page.

use oms_core::{LocationId, Sku};
use oms_postgres::{Db, Error};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::domain::expected::{ExpectedKey, ExpectedReceipt};
use crate::store;
use crate::store::expected_receipts::ReceiptFilter;

use super::Page;

/// Where a page ends.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Position {
    /// Microseconds since 1970, which is how exactly Postgres keeps time.
    expected_at: i64,
    reference: String,
    sku: Sku,
    location: LocationId,
}

/// Receipts after this position, by time, reference, SKU and location.
pub(crate) async fn list_expected_receipts(
    db: &Db,
    filter: &ReceiptFilter,
    after: Option<Position>,
    size: i64,
) -> Result<Page<ExpectedReceipt, Position>, Error> {
    let after = after.and_then(|after| {
        let nanos = i128::from(after.expected_at) * 1_000;
        let expected_at = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()?;
        let key = ExpectedKey {
            reference: after.reference,
            sku: after.sku,
            location: after.location,
        };
        Some((expected_at, key))
    });
    let after = after.as_ref().map(|(time, key)| (*time, key));
    let mut conn = db.read().await?;
    let rows = store::expected_receipts::list(&mut conn, filter, after, size + 1).await?;
    Ok(Page::cut(rows, size, |one| Position {
        expected_at: i64::try_from(one.expected_at.unix_timestamp_nanos() / 1_000)
            .unwrap_or(i64::MAX),
        reference: one.key.reference.clone(),
        sku: one.key.sku.clone(),
        location: one.key.location.clone(),
    }))
}
