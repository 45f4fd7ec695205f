//! Voids the labels of a shipment before the handover.

use oms_core::ShipmentId;
use oms_postgres::idempotency;

use crate::domain::label::LabelAction;
use crate::domain::shipment::Shipment;
use crate::domain::state::ShipmentAction;

use super::buy_label::plan_void;
use super::{Call, Context, Error, find, lock, on_span, replayed, settle_effect};

/// Voids the labels. The answer shows what the carrier said: DRAFT again, or still LABELED with the
/// reason of its refusal.
#[tracing::instrument(name = "shipping.void_label", skip_all, fields(oms.order.id))]
pub(crate) async fn void_label(
    ctx: &Context,
    shipment_id: ShipmentId,
    etag: Option<i64>,
    call: &Call,
) -> Result<Shipment, Error> {
    let now = ctx.clock.now();
    let effect = ctx
        .db
        .run_tx("void_label", |tx| {
            Box::pin(async move {
                if replayed(tx, call).await?.is_some() {
                    return Ok(None);
                }
                let mut shipment = lock(tx, shipment_id, etag).await?;
                on_span(&shipment);
                shipment.apply(ShipmentAction::VoidLabel)?;
                if !shipment.apply_to_label(LabelAction::RequestVoid) {
                    return Err(Error::Defect("a labeled shipment has no label to void"));
                }
                let label = shipment.label.as_ref();
                let label = label.ok_or(Error::Defect("a labeled shipment has no label"))?;
                let effect = plan_void(ctx, tx, label, &call.actor, now).await?;
                idempotency::record(tx, &call.key, &shipment_id.to_string()).await?;
                Ok::<_, Error>(Some(effect))
            })
        })
        .await?;
    if let Some(effect) = effect {
        settle_effect::drive(ctx, effect).await?;
    }
    let mut conn = ctx.db.read().await?;
    find(&mut conn, shipment_id).await
}
