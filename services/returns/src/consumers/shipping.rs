//! Events of the shipping service: scans of return packages.

use oms_core::ReturnId;
use oms_proto::events::v1::Event;
use oms_proto::shipping::v1 as shipping;
use oms_proto::shipping::v1::TrackingStatus;
use oms_proto::shipping::v1::shipping_event::Event as ShippingFact;
use oms_service::ApplyError;
use prost::Message;
use sqlx::PgConnection;

use crate::commands;
use crate::ctx::Ctx;

/// Puts a return in transit when the carrier scans its package; other events do not matter here.
pub(crate) async fn on_shipping_event(
    ctx: &Ctx,
    conn: &mut PgConnection,
    event: &Event,
) -> Result<(), ApplyError> {
    let payload = shipping::ShippingEvent::decode(event.payload.as_slice())?;
    let Some(ShippingFact::PackageTracked(tracked)) = payload.event else {
        return Ok(());
    };
    if tracked.return_id.is_empty() || !is_on_its_way(tracked.event.as_ref()) {
        return Ok(());
    }
    let return_id: ReturnId = tracked
        .return_id
        .parse()
        .map_err(|_| ApplyError::rejected(format!("{:?} is no return id", tracked.return_id)))?;
    let actor = super::actor(&event.actor)?;
    commands::record_transit(ctx, conn, return_id, &actor)
        .await
        .map_err(super::apply_error)
}

fn is_on_its_way(event: Option<&shipping::TrackingEvent>) -> bool {
    let status = event
        .map(shipping::TrackingEvent::status)
        .unwrap_or_default();
    matches!(
        status,
        TrackingStatus::InTransit | TrackingStatus::OutForDelivery | TrackingStatus::Delivered
    )
}
