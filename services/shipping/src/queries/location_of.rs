//! Where a shipment is, for callers who may see some locations only.

use oms_core::ShipmentId;
use oms_postgres::Db;

use crate::store::{StoreError, labels, lists};

/// The location of a shipment; `None` when there is no such shipment.
pub(crate) async fn shipment(db: &Db, id: ShipmentId) -> Result<Option<String>, StoreError> {
    let mut conn = db.read().await?;
    lists::location(&mut conn, id).await
}

/// The location of the shipment with this tracking number; `None` when no label has it.
pub(crate) async fn tracking_number(
    db: &Db,
    carrier_id: &str,
    number: &str,
) -> Result<Option<String>, StoreError> {
    let mut conn = db.read().await?;
    match labels::find_by_number(&mut conn, carrier_id, number).await? {
        Some(numbered) => lists::location(&mut conn, numbered.shipment_id).await,
        None => Ok(None),
    }
}
