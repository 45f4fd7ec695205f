//! One location.

use oms_core::LocationId;
use oms_postgres::{Db, Error};

use crate::domain::location::Location;
use crate::store;

/// The location; `None` when there is none.
pub(crate) async fn get_location(db: &Db, id: &LocationId) -> Result<Option<Location>, Error> {
    let mut conn = db.read().await?;
    store::locations::get(&mut conn, id).await
}
