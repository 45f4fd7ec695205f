//! Levels of SKUs.

use std::collections::BTreeSet;

use oms_core::{LocationId, Sku};
use oms_postgres::{Db, Error};

use crate::domain::level::Level;
use crate::store;

/// Levels of the SKUs at these locations, or everywhere when none are named.
pub(crate) async fn batch_get_availability(
    db: &Db,
    skus: &[Sku],
    locations: &BTreeSet<LocationId>,
) -> Result<Vec<Level>, Error> {
    let mut conn = db.read().await?;
    let locations = Some(locations).filter(|ids| !ids.is_empty());
    store::levels::of(&mut conn, skus, locations).await
}
