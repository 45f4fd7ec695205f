//! Stock levels.

use std::collections::BTreeSet;

use oms_core::{LocationId, ReservationId, Sku};
use oms_postgres::Error;
use sqlx::PgConnection;
use uuid::Uuid;

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
    let rows = rows(conn, skus, locations, &[]).await?;
    Ok(rows.into_iter().map(|(level, _)| level).collect())
}

/// [`of`] for reservations that are to be made, with both questions in one round trip: `None` when one of them may be
/// there already.
pub(crate) async fn for_new(
    conn: &mut PgConnection,
    skus: &[Sku],
    locations: Option<&BTreeSet<LocationId>>,
    reservations: &[ReservationId],
) -> Result<Option<Vec<Level>>, Error> {
    let rows = rows(conn, skus, locations, reservations).await?;
    // Without a level there is no row to tell by.
    if rows.first().is_none_or(|(_, is_known)| *is_known) {
        return Ok(None);
    }
    Ok(Some(rows.into_iter().map(|(level, _)| level).collect()))
}

/// Levels, each with whether one of the reservations exists.
async fn rows(
    conn: &mut PgConnection,
    skus: &[Sku],
    locations: Option<&BTreeSet<LocationId>>,
    reservations: &[ReservationId],
) -> Result<Vec<(Level, bool)>, Error> {
    let reservations: Vec<Uuid> = reservations.iter().map(|id| id.uuid()).collect();
    let locations: Option<Vec<&str>> =
        locations.map(|ids| ids.iter().map(LocationId::as_str).collect());
    let rows = sqlx::query!(
        r#"SELECT sku, location_id, lot, available, held, allocated, count_pending, quarantine, qc, damaged, refurb,
                  EXISTS (SELECT 1 FROM reservation r WHERE r.reservation_id = ANY($3)) AS "is_known!"
           FROM stock_level
           WHERE sku = ANY($1) AND ($2::text[] IS NULL OR location_id = ANY($2))
           ORDER BY sku, location_id, lot"#,
        &texts(skus) as &[&str],
        locations.as_deref() as Option<&[&str]>,
        &reservations,
    )
    .fetch_all(conn)
    .await?;
    let levels = rows.into_iter().map(|row| {
        let id = format!("{}/{}/{}", row.sku, row.location_id, row.lot);
        let level = Level {
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
        };
        Ok((level, row.is_known))
    });
    levels.collect()
}
