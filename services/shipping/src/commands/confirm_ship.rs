//! Hands a shipment over to the carrier.

use oms_core::ShipmentId;
use oms_proto::shipping::v1::ShipmentShipped;
use oms_proto::shipping::v1::shipping_event::Event;

use crate::domain::shipment::Shipment;
use crate::store::shipments;

use super::events::Events;
use super::{Call, Context, Error, begun, lock, on_span};

/// Confirms the handover. When the carrier's first scan came before, it changes nothing.
#[tracing::instrument(name = "shipping.confirm_ship", skip_all, fields(oms.order.id))]
pub(crate) async fn confirm_ship(
    ctx: &Context,
    shipment_id: ShipmentId,
    etag: Option<i64>,
    call: &Call,
) -> Result<Shipment, Error> {
    let now = ctx.clock.now();
    ctx.db
        .run_tx("confirm_ship", |tx| {
            Box::pin(async move {
                if let Some(shipment) = begun(tx, call, shipment_id).await? {
                    return Ok(shipment);
                }
                let mut shipment = lock(tx, shipment_id, etag).await?;
                on_span(&shipment);
                let mut events = Events::new(&*ctx.ids, &call.actor, now);
                if shipment.confirm_ship(now)? {
                    events.push(&mut shipment, |shipment| {
                        Event::ShipmentShipped(ShipmentShipped {
                            shipment: Some(shipment),
                        })
                    });
                }
                shipments::save(tx, &shipment, now).await?;
                events.append(tx).await?;
                Ok(shipment)
            })
        })
        .await
}
