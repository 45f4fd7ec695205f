//! Shipments that left.

use oms_core::derive;
use oms_postgres::{NewTask, tasks};
use oms_proto::events::v1::Event;
use oms_proto::shipping::v1::shipping_event::Event as Shipping;
use oms_proto::shipping::v1::{ShipmentDirection, ShippingEvent};
use oms_service::ApplyError;
use prost::Message;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::tasks::ISSUE_RESERVATION;
use crate::tasks::issue_reservation::issues_of;

/// A task per reservation that an outbound shipment drew from.
pub(super) async fn apply(
    conn: &mut PgConnection,
    event: &Event,
    now: OffsetDateTime,
) -> Result<(), ApplyError> {
    let payload = ShippingEvent::decode(&*event.payload)?;
    let Some(Shipping::ShipmentShipped(shipped)) = payload.event else {
        return Ok(());
    };
    let shipment = shipped.shipment.unwrap_or_default();
    if shipment.direction() == ShipmentDirection::Return {
        return Ok(());
    }
    let event_id: Uuid = event.id.parse().map_err(ApplyError::rejected)?;
    let issues = issues_of(&shipment).map_err(ApplyError::rejected)?;
    let new: Vec<NewTask> = issues
        .keys()
        .map(|reservation| NewTask {
            id: derive(event_id, &format!("{ISSUE_RESERVATION}/{reservation}")),
            kind: ISSUE_RESERVATION,
            key: reservation.to_string(),
            payload: event.payload.clone(),
            run_at: now,
            actor: event.actor.clone(),
        })
        .collect();
    tasks::insert_all(conn, &new).await?;
    Ok(())
}
