//! What there is of one SKU, and what may be promised of it.

use oms_core::Sku;
use oms_postgres::{Db, Error};

use crate::domain::availability::Availability;

use super::batch_get_availability;

/// The SKU over all locations; `None` when it is not known.
pub(crate) async fn get_availability(db: &Db, sku: &Sku) -> Result<Option<Availability>, Error> {
    let found = batch_get_availability(db, std::slice::from_ref(sku), None).await?;
    Ok(found.into_iter().next())
}
