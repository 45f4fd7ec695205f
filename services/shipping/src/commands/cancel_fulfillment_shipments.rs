//! What follows a fulfillment order that was canceled as a whole: nothing of it may travel.

use oms_core::FulfillmentOrderId;

use crate::store::shipments;

use super::cancel_shipment::cancel;
use super::{Context, Error, on_span, settle_effect};

/// Cancels the fulfillment order's shipments that were not handed over. Repeating it changes nothing.
#[tracing::instrument(name = "shipping.cancel_fulfillment_shipments", skip_all, fields(oms.order.id))]
pub(crate) async fn cancel_fulfillment_shipments(
    ctx: &Context,
    fulfillment_order_id: FulfillmentOrderId,
    actor: &str,
) -> Result<(), Error> {
    let open = {
        let mut conn = ctx.db.read().await?;
        shipments::open_of_fulfillment_order(&mut conn, fulfillment_order_id).await?
    };
    let now = ctx.clock.now();
    for id in open {
        let effect = ctx
            .db
            .run_tx("cancel_fulfillment_shipments", |tx| {
                Box::pin(async move {
                    let mut shipment = super::lock(tx, id, None).await?;
                    on_span(&shipment);
                    let reason = "the fulfillment order was canceled";
                    cancel(ctx, tx, &mut shipment, reason, actor, now).await
                })
            })
            .await?;
        if let Some(effect) = effect {
            settle_effect::drive(ctx, effect).await?;
        }
    }
    Ok(())
}
