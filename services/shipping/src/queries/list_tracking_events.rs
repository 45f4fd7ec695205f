//! Lists what carriers reported about a shipment.

use oms_core::ShipmentId;
use oms_postgres::Db;

use crate::store::tracking::{self, TrackingEvent};
use crate::store::{StoreError, shipments};

/// The reports by the time they happened; `None` when there is no such shipment.
#[tracing::instrument(name = "shipping.list_tracking_events", skip_all)]
pub(crate) async fn list_tracking_events(
    db: &Db,
    id: ShipmentId,
) -> Result<Option<Vec<TrackingEvent>>, StoreError> {
    let mut conn = db.snapshot().await?;
    if shipments::load(&mut conn, id).await?.is_none() {
        return Ok(None);
    }
    tracking::of_shipment(&mut conn, id).await.map(Some)
}
