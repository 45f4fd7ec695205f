//! Answers one shipment.

use oms_core::ShipmentId;
use oms_postgres::Db;

use crate::domain::shipment::Shipment;
use crate::store::{StoreError, shipments};

/// The shipment with this id.
#[tracing::instrument(name = "shipping.get_shipment", skip_all)]
pub(crate) async fn get_shipment(db: &Db, id: ShipmentId) -> Result<Option<Shipment>, StoreError> {
    let mut conn = db.read().await?;
    shipments::load(&mut conn, id).await
}
