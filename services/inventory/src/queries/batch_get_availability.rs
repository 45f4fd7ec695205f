//! What there is of SKUs, and what may be promised of them.

use std::collections::BTreeSet;

use oms_core::{LocationId, Sku};
use oms_postgres::{Db, Error};

use crate::domain::availability::Availability;
use crate::store;
use crate::store::availability::Ask;

/// The SKUs by SKU, with the levels at these locations, or everywhere when none are named. One statement, whatever their
/// number. Those that are not known are missing.
pub(crate) async fn batch_get_availability(
    db: &Db,
    skus: &[Sku],
    locations: Option<&BTreeSet<LocationId>>,
) -> Result<Vec<Availability>, Error> {
    let mut conn = db.read().await?;
    let ask = Ask {
        skus,
        locations,
        waiting: false,
    };
    store::availability::of(&mut conn, ask).await
}
