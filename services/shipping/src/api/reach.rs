//! Callers whose reach is bound to locations see and change only what is there. What is elsewhere is answered like what
//! does not exist. A shipment stays at its location, so that what is found here still holds when the command runs.

use oms_core::{Access, PackSessionId, ShipmentId};
use oms_proto::common::v1::ErrorReason;
use oms_service::ApiError;
use tonic::{Code, Status};

use crate::commands::create_shipment::{Cause, NewShipment};
use crate::commands::create_shipment_for_pack::shipment_id;
use crate::commands::{Context, Error};
use crate::queries::get_shipment::get_shipment;
use crate::queries::location_of;

use super::error::{status, store_status};

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

/// Lets a caller through who may have this shipment made. A label tells the address behind an id, so who is bound gets one for
/// goods that were packed at its location, to where they were packed for. Nothing here proves a return: the returns service asks
/// for those.
pub(super) async fn makes(ctx: &Context, access: &Access, new: &NewShipment) -> Result<(), Status> {
    oms_service::check_location(access, &new.location_id)?;
    if access.locations.is_all() {
        return Ok(());
    }
    match new.cause {
        Cause::PackSession(session) => packed(ctx, session, new).await,
        Cause::Return(_) => {
            let message = "shipments of returns are not for callers with such bounds";
            let refused = ApiError::new(Code::PermissionDenied, ErrorReason::OutOfReach, message);
            Err(refused.into())
        }
    }
}

/// Fails unless the goods of the session are where the shipment is, and go where it goes.
async fn packed(ctx: &Context, session: PackSessionId, new: &NewShipment) -> Result<(), Status> {
    // What the session's event told is in the shipment that followed it.
    let first = get_shipment(&ctx.db, shipment_id(session)).await;
    let first = first.map_err(store_status)?.filter(|first| {
        first.pack_session_id == Some(session) && first.location_id == new.location_id
    });
    let Some(first) = first else {
        let pack_session_id = session.to_string();
        return Err(status(Error::NotPacked { pack_session_id }));
    };
    let address_id = new.destination.address_id;
    if address_id.is_some() && address_id != first.destination.address_id {
        let message = "is not where the packed goods go";
        return Err(status(Error::reference("destination.address_id", message)));
    }
    Ok(())
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
