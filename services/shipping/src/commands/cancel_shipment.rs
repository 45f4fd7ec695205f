//! Cancels a shipment that was not handed over.

use oms_core::ShipmentId;
use oms_postgres::{Tx, idempotency};
use oms_proto::shipping::v1::ShipmentCanceled;
use oms_proto::shipping::v1::shipping_event::Event;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::label::LabelAction;
use crate::domain::shipment::Shipment;
use crate::domain::state::ShipmentAction;
use crate::store::shipments;

use super::buy_label::plan_void;
use super::events::Events;
use super::{Call, Context, Error, find, lock, on_span, replayed, settle_effect};

/// Cancels a shipment. It is CANCELED at once; a label is voided right after, or by the reconciler.
#[tracing::instrument(name = "shipping.cancel_shipment", skip_all, fields(oms.order.id))]
pub(crate) async fn cancel_shipment(
    ctx: &Context,
    shipment_id: ShipmentId,
    etag: Option<i64>,
    reason: &str,
    call: &Call,
) -> Result<Shipment, Error> {
    let now = ctx.clock.now();
    let effect = ctx
        .db
        .run_tx("cancel_shipment", |tx| {
            Box::pin(async move {
                if replayed(tx, call).await?.is_some() {
                    return Ok(None);
                }
                let mut shipment = lock(tx, shipment_id, etag).await?;
                on_span(&shipment);
                let effect = cancel(ctx, tx, &mut shipment, reason, &call.actor, now).await?;
                idempotency::record(tx, &call.key, &shipment_id.to_string()).await?;
                Ok::<_, Error>(effect)
            })
        })
        .await?;
    if let Some(effect) = effect {
        settle_effect::drive(ctx, effect).await?;
    }
    let mut conn = ctx.db.read().await?;
    find(&mut conn, shipment_id).await
}

/// Cancels a locked shipment; answers the effect that voids its label, if it has one.
pub(super) async fn cancel(
    ctx: &Context,
    tx: &mut Tx<'_>,
    shipment: &mut Shipment,
    reason: &str,
    actor: &str,
    now: OffsetDateTime,
) -> Result<Option<Uuid>, Error> {
    shipment.apply(ShipmentAction::Cancel)?;
    let mut effect = None;
    if shipment.apply_to_label(LabelAction::RequestVoid)
        && let Some(label) = &shipment.label
    {
        effect = Some(plan_void(ctx, tx, label, actor, now).await?);
    }
    let mut events = Events::new(&*ctx.ids, actor, now);
    events.push(shipment, |shipment| {
        let reason = reason.to_owned();
        Event::ShipmentCanceled(ShipmentCanceled {
            shipment: Some(shipment),
            reason,
        })
    });
    shipments::save(tx, shipment, now).await?;
    events.append(tx).await?;
    Ok(effect)
}
