//! Carries effects out: asks the carrier, records the answer, and finds out what became of a call whose
//! answer was lost. Any replica may drive any effect at any time; claims keep them apart.

use std::sync::Arc;

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};
use oms_postgres::Tx;
use oms_proto::shipping::v1::shipping_event::Event;
use oms_proto::shipping::v1::{LabelFailed, LabelPurchased, LabelVoided};
use oms_telemetry::{TraceContext, continue_or_link};
use time::{Duration, OffsetDateTime};
use tracing::Instrument;
use uuid::Uuid;

use crate::carriers::{Bought, Carrier, CarrierError, Found, Purchase};
use crate::domain::effect::{EffectKind, EffectState, NextStep};
use crate::domain::label::LabelAction;
use crate::domain::shipment::Shipment;
use crate::domain::state::{ShipmentAction, ShipmentState};
use crate::store::effects::{self, Answer, Effect};
use crate::store::{labels, packages, shipments};

use super::events::Events;
use super::{Context, Error};

/// How long a claim lasts: longer than any call to a carrier may take.
const CLAIM: Duration = Duration::seconds(30);
/// Longest wait before the carrier is asked again about an effect in doubt.
const WAIT_MOST: Duration = Duration::minutes(5);
/// Steps of one drive: find out, send, and see that it is settled.
const STEPS_MAX: usize = 4;
/// Effects that one pass of the reconciler looks at.
const PASS_MAX: i64 = 32;

/// Counts what carriers answered.
const EFFECTS: &str = "oms.shipping.effects_answered";
const EFFECTS_OPEN: &str = "oms_effects_open";
const EFFECTS_OLDEST: &str = "oms_effects_oldest_age_seconds";

/// Effects that are not settled.
const OPEN: [EffectState; 3] = [
    EffectState::Planned,
    EffectState::Sent,
    EffectState::InDoubt,
];

/// Tells the metrics recorder what the metrics of this module mean.
pub(crate) fn describe_metrics() {
    describe_counter!(
        EFFECTS,
        "answers of carriers, by kind of effect and state after it"
    );
    describe_gauge!(
        EFFECTS_OPEN,
        "outward effects that are not settled, by state"
    );
    describe_gauge!(
        EFFECTS_OLDEST,
        Unit::Seconds,
        "age of the oldest effect that is not settled, by state"
    );
}

/// How the carrier answered.
#[derive(Debug)]
enum Outcome {
    /// It did it.
    Done(Found),
    /// It refused.
    Refused(String),
    /// Nobody knows.
    Unknown(String),
    /// It turned out that it never saw the request.
    NeverSeen,
}

/// Drives an effect as far as it goes now; answers its state. It ends open when the carrier does not
/// answer or somebody else is at it; the reconciler goes on.
pub(crate) async fn drive(ctx: &Context, effect_id: Uuid) -> Result<EffectState, Error> {
    let mut state = EffectState::Planned;
    for _ in 0..STEPS_MAX {
        let effect = {
            let mut conn = ctx.db.read().await?;
            effects::load(&mut conn, effect_id).await?
        };
        let Some(effect) = effect else {
            return Err(Error::not_found("effect", effect_id));
        };
        state = effect.state;
        // A planned effect has no holder; its time says only when the reconciler looks.
        let claimed = state != EffectState::Planned && effect.next_run_at > ctx.clock.now();
        match state.next_step(claimed) {
            NextStep::Nothing | NextStep::Wait => break,
            NextStep::Send => send(ctx, effect).await?,
            NextStep::Reconcile => reconcile(ctx, effect).await?,
        }
    }
    Ok(state)
}

/// Looks through the open effects whose makers died or whose carriers did not answer. Answers how
/// many it drove.
pub(crate) async fn reconcile_due(ctx: &Context) -> Result<usize, Error> {
    let due = {
        let mut conn = ctx.db.read().await?;
        effects::due(&mut conn, ctx.clock.now(), PASS_MAX).await?
    };
    for effect_id in &due {
        let effect = {
            let mut conn = ctx.db.read().await?;
            effects::load(&mut conn, *effect_id).await?
        };
        let Some(effect) = effect else { continue };
        let span = tracing::info_span!(
            "effect",
            otel.name = "shipping.reconcile_effect",
            oms.order.id = %effect.order_id,
        );
        let cause = TraceContext::parse(&effect.traceparent);
        continue_or_link(&span, &cause, ctx.clock.now() - effect.created_at);
        if let Err(error) = drive(ctx, *effect_id).instrument(span).await {
            tracing::warn!(effect.id = %effect_id, %error, "an effect could not be settled");
        }
    }
    Ok(due.len())
}

/// Tells operators what is not settled, in every state, so that one that has emptied goes to zero.
#[expect(clippy::cast_precision_loss, reason = "gauges are floating point")]
pub(crate) async fn tell_open(ctx: &Context) -> Result<(), Error> {
    let open = {
        let mut conn = ctx.db.read().await?;
        effects::open(&mut conn).await?
    };
    let now = ctx.clock.now();
    for state in OPEN.map(EffectState::as_str) {
        let found = open.iter().find(|row| row.state == state);
        let (count, oldest) = found.map_or((0, 0.0), |row| {
            (row.count, (now - row.oldest).as_seconds_f64().max(0.0))
        });
        gauge!(EFFECTS_OPEN, "service" => "shipping", "state" => state).set(count as f64);
        gauge!(EFFECTS_OLDEST, "service" => "shipping", "state" => state).set(oldest);
    }
    Ok(())
}

async fn send(ctx: &Context, mut effect: Effect) -> Result<(), Error> {
    let now = ctx.clock.now();
    let claimed = ctx
        .db
        .run_tx("send_effect", |tx| {
            let effect = &effect;
            Box::pin(async move {
                effects::claim(tx, effect, EffectState::Sent, now + CLAIM, now).await
            })
        })
        .await?;
    if !claimed {
        return Ok(());
    }
    effect.attempt += 1;
    let shipment = {
        let mut conn = ctx.db.read().await?;
        super::find(&mut conn, effect.shipment_id).await?
    };
    let outcome = match ask(carrier(ctx, &effect)?, &effect, &shipment).await {
        Ok(found) => Outcome::Done(found),
        Err(CarrierError::Refused(reason)) => Outcome::Refused(reason),
        Err(CarrierError::Unknown(reason)) => Outcome::Unknown(reason),
    };
    settle(ctx, &effect, &outcome).await
}

async fn reconcile(ctx: &Context, mut effect: Effect) -> Result<(), Error> {
    let now = ctx.clock.now();
    let claimed = ctx
        .db
        .run_tx("reconcile_effect", |tx| {
            let effect = &effect;
            Box::pin(async move {
                let mut shipment = super::lock(tx, effect.shipment_id, None).await?;
                if !effects::claim(tx, effect, EffectState::InDoubt, now + CLAIM, now).await? {
                    return Ok(false);
                }
                if shipment.apply_to_label(LabelAction::Doubt)
                    && let Some(label) = &shipment.label
                {
                    labels::save(tx, label, now).await?;
                }
                Ok::<_, Error>(true)
            })
        })
        .await?;
    if !claimed {
        return Ok(());
    }
    effect.attempt += 1;
    let outcome = match carrier(ctx, &effect)?
        .find_by_key(&effect.idempotency_key)
        .await
    {
        Ok(Some(found)) => Outcome::Done(found),
        Ok(None) => Outcome::NeverSeen,
        Err(CarrierError::Refused(reason) | CarrierError::Unknown(reason)) => {
            Outcome::Unknown(reason)
        }
    };
    settle(ctx, &effect, &outcome).await
}

fn carrier<'a>(ctx: &'a Context, effect: &Effect) -> Result<&'a Arc<dyn Carrier>, Error> {
    let found = ctx.carriers.find(&effect.carrier_id);
    found.ok_or(Error::Defect(
        "an effect names a carrier that is not configured",
    ))
}

async fn ask(
    carrier: &Arc<dyn Carrier>,
    effect: &Effect,
    shipment: &Shipment,
) -> Result<Found, CarrierError> {
    let Some(label) = shipment
        .label
        .as_ref()
        .filter(|label| label.id == effect.label_id)
    else {
        return Err(CarrierError::Refused(
            "the label is not the shipment's last one".to_owned(),
        ));
    };
    match effect.kind {
        EffectKind::BuyLabel => {
            let purchase = Purchase {
                label_id: label.id,
                carrier_service: label.carrier_service.clone(),
                packages: shipment.packages.iter().map(|package| package.id).collect(),
                price: label.cost,
            };
            carrier
                .buy(&effect.idempotency_key, &purchase)
                .await
                .map(Found::Bought)
        }
        EffectKind::VoidLabel => {
            let voided = carrier
                .void(&effect.idempotency_key, &label.carrier_reference)
                .await;
            voided.map(|()| Found::Voided)
        }
    }
}

/// Records an answer and what follows from it, unless the claim went to somebody else meanwhile.
async fn settle(ctx: &Context, effect: &Effect, outcome: &Outcome) -> Result<(), Error> {
    let now = ctx.clock.now();
    if let Outcome::Unknown(reason) = outcome {
        tracing::warn!(effect.id = %effect.id, effect.attempt, reason, "carrier's answer is not known");
    }
    let (state, _) = record_of(effect, outcome, now);
    counter!(EFFECTS, "kind" => effect.kind.as_str(), "state" => state.as_str()).increment(1);
    ctx.db
        .run_tx("settle_effect", |tx| {
            Box::pin(async move {
                let mut shipment = super::lock(tx, effect.shipment_id, None).await?;
                let (state, answer) = record_of(effect, outcome, now);
                if !effects::settle(tx, effect, state, &answer, now).await? {
                    return Ok(());
                }
                let ours = shipment
                    .label
                    .as_ref()
                    .is_some_and(|label| label.id == effect.label_id);
                if !ours {
                    return Ok(());
                }
                follow(ctx, tx, &mut shipment, effect, outcome, now).await
            })
        })
        .await
}

fn record_of<'a>(
    effect: &Effect,
    outcome: &'a Outcome,
    now: OffsetDateTime,
) -> (EffectState, Answer<'a>) {
    let mut answer = Answer {
        carrier_reference: "",
        failure: "",
        look_at: now,
    };
    let state = match outcome {
        Outcome::Done(found) => {
            if let Found::Bought(bought) = found {
                answer.carrier_reference = &bought.reference;
            }
            EffectState::Confirmed
        }
        Outcome::Refused(reason) => {
            answer.failure = reason;
            EffectState::Failed
        }
        Outcome::Unknown(reason) => {
            answer.failure = reason;
            let doublings = u32::try_from(effect.attempt.clamp(0, 16)).unwrap_or_default();
            let wait = Duration::SECOND * f64::from(2_u32.saturating_pow(doublings));
            answer.look_at = now + wait.min(WAIT_MOST);
            EffectState::InDoubt
        }
        Outcome::NeverSeen => EffectState::Planned,
    };
    (state, answer)
}

/// What an answer means for the label, the shipment and the rest of the world.
async fn follow(
    ctx: &Context,
    tx: &mut Tx<'_>,
    shipment: &mut Shipment,
    effect: &Effect,
    outcome: &Outcome,
    now: OffsetDateTime,
) -> Result<(), Error> {
    let mut events = Events::new(&*ctx.ids, &effect.actor, now);
    match (effect.kind, outcome) {
        (EffectKind::BuyLabel, Outcome::Done(Found::Bought(bought))) => {
            purchased(tx, shipment, bought).await?;
            events.push(shipment, |shipment| {
                Event::LabelPurchased(LabelPurchased {
                    shipment: Some(shipment),
                })
            });
        }
        (EffectKind::BuyLabel, Outcome::Refused(reason)) => {
            shipment.apply_to_label(LabelAction::Fail);
            set_failure(shipment, reason);
            events.push(shipment, |shipment| {
                let reason = reason.clone();
                Event::LabelFailed(LabelFailed {
                    shipment: Some(shipment),
                    reason,
                })
            });
        }
        (EffectKind::BuyLabel, Outcome::NeverSeen) => {
            shipment.apply_to_label(LabelAction::Retry);
        }
        (EffectKind::BuyLabel, Outcome::Unknown(_)) => {
            shipment.apply_to_label(LabelAction::Doubt);
        }
        (EffectKind::VoidLabel, Outcome::Done(Found::Voided)) => {
            voided(tx, shipment).await?;
            events.push(shipment, |shipment| {
                Event::LabelVoided(LabelVoided {
                    shipment: Some(shipment),
                })
            });
        }
        (EffectKind::VoidLabel, Outcome::Refused(reason)) => {
            shipment.apply_to_label(LabelAction::RefuseVoid);
            set_failure(shipment, reason);
        }
        (EffectKind::VoidLabel, Outcome::NeverSeen | Outcome::Unknown(_)) => {}
        (_, Outcome::Done(_)) => {
            return Err(Error::Defect(
                "the carrier did something else under the key",
            ));
        }
    }
    if let Some(label) = &shipment.label {
        labels::save(tx, label, now).await?;
    }
    shipments::save(tx, shipment, now).await?;
    events.append(tx).await
}

async fn purchased(tx: &mut Tx<'_>, shipment: &mut Shipment, bought: &Bought) -> Result<(), Error> {
    if !shipment.apply_to_label(LabelAction::Purchase) {
        return Err(Error::Defect("a label was sold twice"));
    }
    for package in &mut shipment.packages {
        let number = bought.numbers.iter().find(|(id, _)| *id == package.id);
        let (_, number) = number.ok_or(Error::Defect("the carrier left a package out"))?;
        package.tracking_number.clone_from(number);
    }
    if let Some(label) = &mut shipment.label {
        label.carrier_reference.clone_from(&bought.reference);
        label.failure.clear();
        labels::insert_numbers(tx, label, &shipment.packages).await?;
    }
    packages::save(tx, &shipment.packages).await?;
    shipment.apply(ShipmentAction::LabelPurchased)?;
    Ok(())
}

async fn voided(tx: &mut Tx<'_>, shipment: &mut Shipment) -> Result<(), Error> {
    shipment.apply_to_label(LabelAction::Void);
    set_failure(shipment, "");
    // A scan may have shipped the goods while the carrier voided the label: they are gone all the same.
    if shipment.state.is_handed_over() {
        return Ok(());
    }
    for package in &mut shipment.packages {
        package.tracking_number.clear();
        package.report = None;
    }
    packages::save(tx, &shipment.packages).await?;
    if shipment.state == ShipmentState::Labeled {
        shipment.apply(ShipmentAction::LabelVoided)?;
    }
    Ok(())
}

fn set_failure(shipment: &mut Shipment, reason: &str) {
    if let Some(label) = &mut shipment.label {
        reason.clone_into(&mut label.failure);
    }
}
