//! Hands a shipment over to the carrier.

use oms_core::ShipmentId;
use oms_postgres::idempotency;
use oms_proto::shipping::v1::ShipmentShipped;
use oms_proto::shipping::v1::shipping_event::Event;

use crate::domain::shipment::Shipment;
use crate::store::shipments;

use super::events::Events;
use super::{Call, Context, Error, lock, on_span, replayed};

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
                if let Some(shipment) = replayed(tx, call).await? {
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
                idempotency::record(tx, &call.key, &shipment_id.to_string()).await?;
                Ok(shipment)
            })
        })
        .await
}
