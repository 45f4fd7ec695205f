//! Callers whose reach is bound to locations see and change only what is there. What is elsewhere is answered like what
//! does not exist. A shipment stays at its location, so that what is found here still holds when the command runs.

use oms_core::{Access, ShipmentId};
use oms_service::ApiError;
use tonic::Status;

use crate::commands::Context;
use crate::queries::location_of;

use super::error::store_status;

/// Lets a caller through who may see the shipment.
pub(super) async fn within(ctx: &Context, access: &Access, id: ShipmentId) -> Result<(), Status> {
    if access.locations.is_all() {
        return Ok(());
    }
    let location = location_of::shipment(&ctx.db, id)
        .await
        .map_err(store_status)?;
    let seen = location.is_some_and(|location| access.locations.permits(&location));
    if seen {
        Ok(())
    } else {
        Err(ApiError::not_found("shipment", id).into())
    }
}

/// Lets a caller through who may see the shipment with this tracking number.
pub(super) async fn carries(
    ctx: &Context,
    access: &Access,
    carrier_id: &str,
    number: &str,
) -> Result<(), Status> {
    if access.locations.is_all() {
        return Ok(());
    }
    let location = location_of::tracking_number(&ctx.db, carrier_id, number).await;
    let location = location.map_err(store_status)?;
    let seen = location.is_some_and(|location| access.locations.permits(&location));
    if seen {
        Ok(())
    } else {
        Err(ApiError::not_found("package", number).into())
    }
}
