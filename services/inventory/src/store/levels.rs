//! Stock levels.

use std::collections::BTreeSet;

use oms_core::{LocationId, Sku};
use oms_postgres::Error;
use sqlx::PgConnection;

use crate::domain::level::{Buckets, Level, LevelKey};

use super::{read, texts};

/// Levels of these SKUs by SKU, location and lot; at these locations, or at all when none are named.
pub(crate) async fn of(
    conn: &mut PgConnection,
    skus: &[Sku],
    locations: Option<&BTreeSet<LocationId>>,
) -> Result<Vec<Level>, Error> {
    if skus.is_empty() || locations.is_some_and(BTreeSet::is_empty) {
        return Ok(Vec::new());
    }
    let locations: Option<Vec<&str>> =
        locations.map(|ids| ids.iter().map(LocationId::as_str).collect());
    let rows = sqlx::query!(
        "SELECT sku, location_id, lot, available, held, allocated, count_pending, quarantine, qc, damaged, refurb
         FROM stock_level
         WHERE sku = ANY($1) AND ($2::text[] IS NULL OR location_id = ANY($2))
         ORDER BY sku, location_id, lot",
        &texts(skus) as &[&str],
        locations.as_deref() as Option<&[&str]>,
    )
    .fetch_all(conn)
    .await?;
    let levels = rows.into_iter().map(|row| {
        let id = format!("{}/{}/{}", row.sku, row.location_id, row.lot);
        Ok(Level {
            key: LevelKey {
                sku: read(&row.sku, "stock_level", "sku", &id)?,
                location: read(&row.location_id, "stock_level", "location_id", &id)?,
                lot: row.lot,
            },
            buckets: Buckets([
                row.available,
                row.held,
                row.allocated,
                row.count_pending,
                row.quarantine,
                row.qc,
                row.damaged,
                row.refurb,
            ]),
        })
    });
    levels.collect()
}
