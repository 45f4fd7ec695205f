//! What follows a closed pack session: a shipment, the cheapest service that is fast enough, labels.

use oms_core::{PackSessionId, ShipmentId, derive};
use uuid::Uuid;

use crate::domain::shipment::Shipment;
use crate::domain::state::ShipmentAction;
use crate::store::pack_sessions::{self, PackSession};
use crate::store::shipments;

use super::buy_label::plan_purchase;
use super::choose_service::{Named, Way, choose, location, rates};
use super::create_shipment::{NewShipment, draft, insert};
use super::{Context, Error, on_span, settle_effect};
use crate::domain::shipment::Direction;

/// A closed session and the shipment to make of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packed {
    /// Event that told it.
    pub(crate) event_id: Uuid,
    /// The session.
    pub(crate) session: PackSession,
    /// The shipment, with the id of [`shipment_id`].
    pub(crate) shipment: NewShipment,
}

/// The first shipment of a session always has this id, however often the event is told.
pub(crate) fn shipment_id(session: PackSessionId) -> ShipmentId {
    ShipmentId::new(derive(session.uuid(), "shipment"))
}

/// Makes the shipment with its label intent in one transaction, then has the carrier asked. Repeating
/// it changes nothing. When no service fits, the shipment stays DRAFT for a person to decide.
#[tracing::instrument(
    name = "shipping.create_shipment_for_pack", skip_all,
    fields(oms.order.id = %packed.session.order_id),
)]
pub(crate) async fn create_shipment_for_pack(
    ctx: &Context,
    packed: &Packed,
    actor: &str,
) -> Result<Shipment, Error> {
    let id = shipment_id(packed.session.id);
    let found = {
        let mut conn = ctx.db.read().await?;
        shipments::load(&mut conn, id).await?
    };
    if let Some(shipment) = found {
        return Ok(shipment);
    }
    let new = &packed.shipment;
    let at = location(ctx, &new.location_id).await?;
    let now = ctx.clock.now();
    let parcels = new.packages.iter().map(|package| package.parcel).collect();
    let way = Way {
        direction: Direction::Outbound,
        location: &at,
        destination: &new.destination,
        parcels,
    };
    let chosen = choose(
        rates(ctx, way, now).await,
        new.service_level,
        &Named::default(),
    );
    let rate = chosen.as_ref().ok();
    let effect = ctx
        .db
        .run_tx("create_shipment_for_pack", |tx| {
            Box::pin(async move {
                if !pack_sessions::insert(tx, &packed.session, packed.event_id, now).await? {
                    // Another worker was faster, or somebody made a shipment of it by hand.
                    return Ok(None);
                }
                let mut shipment = draft(ctx, new, Some(&packed.session), now);
                insert(ctx, tx, &mut shipment, actor, now).await?;
                let Some(rate) = rate else {
                    return Ok(None);
                };
                shipment.check(ShipmentAction::BuyLabel)?;
                let effect = plan_purchase(ctx, tx, &mut shipment, rate, actor, now).await?;
                Ok::<_, Error>(Some(effect))
            })
        })
        .await?;
    if let Some(effect) = effect {
        settle_effect::drive(ctx, effect).await?;
    }
    let mut conn = ctx.db.read().await?;
    let shipment = super::find(&mut conn, id).await?;
    on_span(&shipment);
    chosen.map(|_| shipment)
}
