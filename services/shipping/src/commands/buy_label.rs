//! Buys labels for all packages of a shipment.

use oms_core::{ShipmentId, derive};
use oms_postgres::{Tx, idempotency};
use oms_telemetry::TraceContext;
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::carriers::Rate;
use crate::domain::effect::EffectKind;
use crate::domain::label::LabelState;
use crate::domain::shipment::{Label, Shipment};
use crate::domain::state::ShipmentAction;
use crate::store::effects::{self, NewEffect};
use crate::store::{labels, shipments};

use super::choose_service::{Named, Way, choose, location, rates};
use super::{Call, Context, Error, find, lock, on_span, replayed, replayed_before, settle_effect};

/// How long the maker of an effect has before the reconciler takes it over.
pub(super) const MAKER_TIME: Duration = Duration::seconds(10);

/// Buys labels: the cheapest service that meets the level, or the one that is named. The answer shows
/// what the carrier said: PURCHASED, FAILED with the reason, or IN_DOUBT while it is being found out.
#[tracing::instrument(name = "shipping.buy_label", skip_all, fields(oms.order.id))]
pub(crate) async fn buy_label(
    ctx: &Context,
    shipment_id: ShipmentId,
    etag: Option<i64>,
    named: &Named,
    call: &Call,
) -> Result<Shipment, Error> {
    let shipment = {
        let mut conn = ctx.db.read().await?;
        if let Some(shipment) = replayed_before(&mut conn, call).await? {
            return Ok(shipment);
        }
        find(&mut conn, shipment_id).await?
    };
    on_span(&shipment);
    let now = ctx.clock.now();
    // Refused here already, so that a shipment that cannot have labels costs no call to a peer.
    shipment.check(ShipmentAction::BuyLabel)?;
    let at = location(ctx, &shipment.location_id).await?;
    let way = Way {
        direction: shipment.direction,
        location: &at,
        destination: &shipment.destination,
        parcels: shipment
            .packages
            .iter()
            .map(|package| package.parcel)
            .collect(),
    };
    let rate = choose(rates(ctx, way, now).await, shipment.service_level, named)?;
    let rate = &rate;
    let effect = ctx
        .db
        .run_tx("buy_label", |tx| {
            Box::pin(async move {
                if replayed(tx, call).await?.is_some() {
                    return Ok(None);
                }
                let mut shipment = lock(tx, shipment_id, etag).await?;
                shipment.apply(ShipmentAction::BuyLabel)?;
                let effect = plan_purchase(ctx, tx, &mut shipment, rate, &call.actor, now).await?;
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

/// Writes a label attempt and the intent to buy it; answers the id of the effect. The shipment is
/// locked or new.
pub(super) async fn plan_purchase(
    ctx: &Context,
    tx: &mut Tx<'_>,
    shipment: &mut Shipment,
    rate: &Rate,
    actor: &str,
    now: OffsetDateTime,
) -> Result<Uuid, Error> {
    let attempt = shipment.label.as_ref().map_or(1, |label| label.attempt + 1);
    let label = Label {
        id: derive(shipment.id.uuid(), &format!("label/{attempt}")),
        attempt,
        state: LabelState::Requested,
        carrier_id: rate.carrier_id.to_owned(),
        carrier_service: rate.carrier_service.clone(),
        cost: rate.price,
        expected_delivery_at: rate.expected_delivery_at,
        carrier_reference: String::new(),
        failure: String::new(),
    };
    labels::insert(tx, shipment.id, &label, actor, now).await?;
    let effect = plan(ctx, tx, EffectKind::BuyLabel, &label, actor, now).await?;
    shipment.label = Some(label);
    shipments::save(tx, shipment, now).await?;
    Ok(effect)
}

/// Writes the intent to void a label; answers the id of the effect.
pub(super) async fn plan_void(
    ctx: &Context,
    tx: &mut Tx<'_>,
    label: &Label,
    actor: &str,
    now: OffsetDateTime,
) -> Result<Uuid, Error> {
    labels::save(tx, label, now).await?;
    plan(ctx, tx, EffectKind::VoidLabel, label, actor, now).await
}

async fn plan(
    ctx: &Context,
    tx: &mut Tx<'_>,
    kind: EffectKind,
    label: &Label,
    actor: &str,
    now: OffsetDateTime,
) -> Result<Uuid, Error> {
    let id = ctx.ids.next();
    // A label is bought once, so its id is the key. A void may be refused and asked for again.
    let idempotency_key = match kind {
        EffectKind::BuyLabel => format!("label/{}", label.id),
        EffectKind::VoidLabel => format!("void/{id}"),
    };
    let request = format!(
        "{} {} {} {} {}",
        kind.as_str(),
        label.id,
        label.carrier_id,
        label.carrier_service,
        label.cost.minor,
    );
    let effect = NewEffect {
        id,
        kind,
        idempotency_key,
        request_hash: Sha256::digest(request).into(),
        label_id: label.id,
        carrier_id: label.carrier_id.clone(),
        traceparent: TraceContext::current().as_str().to_owned(),
        actor: actor.to_owned(),
        look_at: now + MAKER_TIME,
    };
    effects::insert(tx, &effect, now).await?;
    Ok(id)
}
