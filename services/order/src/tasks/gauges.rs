//! Tells operators what is open: sagas by step and state, effects whose answer is missing.

use std::sync::Arc;
use std::time::Duration;

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram, gauge};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use crate::ctx::Ctx;
use crate::domain::saga::{SagaState, Step};
use crate::error::Error;
use crate::store::effects::EffectState;
use crate::store::gauges::{self, OpenEffects, OpenSagas};

/// Pause between two looks.
const PAUSE: Duration = Duration::from_secs(15);

const SAGAS: &str = "oms_order_sagas";
const SAGA_OLDEST: &str = "oms_order_saga_oldest_age_seconds";
const SAGA_OVERDUE: &str = "oms_order_saga_overdue_seconds";
const EFFECTS_OPEN: &str = "oms_effects_open";
const EFFECTS_OLDEST: &str = "oms_effects_oldest_age_seconds";

/// Effects that are not settled.
const OPEN: [EffectState; 3] = [
    EffectState::Planned,
    EffectState::Sent,
    EffectState::InDoubt,
];

/// Tells the metrics recorder what the metrics of this service mean.
pub(crate) fn describe_metrics() {
    describe_gauge!(
        SAGAS,
        "open sagas by step and state, counted up to 10 000 in all"
    );
    describe_gauge!(
        SAGA_OLDEST,
        Unit::Seconds,
        "age of the oldest open saga, by step and state"
    );
    describe_gauge!(
        SAGA_OVERDUE,
        Unit::Seconds,
        "how long the saga that is due longest has been due"
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
    describe_histogram!(
        "oms_order_saga_step_seconds",
        Unit::Seconds,
        "one run of a step, by step and direction"
    );
    describe_histogram!(
        "oms_order_release_seconds",
        Unit::Seconds,
        "from placing an order to its fulfillment orders, by whether it waited for something outside"
    );
    describe_gauge!(
        "oms_order_sagas_running",
        "sagas that this process works on"
    );
    describe_counter!("oms_order_sagas_claimed", "sagas that this process took up");
    describe_counter!("oms_order_sagas_stuck", "sagas left to a person");
    describe_counter!(
        "oms_order_saga_leases_lost",
        "results dropped because another process had taken the saga over"
    );
}

/// Looks until canceled.
pub(crate) async fn run(ctx: Arc<Ctx>, cancel: CancellationToken) {
    loop {
        if let Err(error) = look(&ctx).await {
            tracing::debug!(%error, "gauges could not be read");
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

async fn look(ctx: &Ctx) -> Result<(), Error> {
    let (sagas, effects) = {
        let mut conn = ctx.db.read().await?;
        (
            gauges::sagas(&mut conn).await?,
            gauges::effects(&mut conn).await?,
        )
    };
    tell_sagas(&sagas, ctx.now());
    tell_effects(&effects, ctx.now());
    Ok(())
}

/// Every combination, so that one that has emptied goes to zero.
#[expect(clippy::cast_precision_loss, reason = "gauges are floating point")]
fn tell_sagas(open: &[OpenSagas], now: OffsetDateTime) {
    let states = SagaState::ALL.into_iter();
    for state in states.filter(|state| *state != SagaState::Done) {
        for step in Step::ALL {
            let (step, state) = (step.as_str(), state.as_str());
            let found = open
                .iter()
                .find(|row| row.step == step && row.state == state);
            let (count, oldest) = found.map_or((0, 0.0), |row| (row.count, age(row.oldest, now)));
            gauge!(SAGAS, "step" => step, "state" => state).set(count as f64);
            gauge!(SAGA_OLDEST, "step" => step, "state" => state).set(oldest);
        }
    }
    let able = open
        .iter()
        .filter(|row| row.state != SagaState::Stuck.as_str());
    let overdue = able.map(|row| age(row.due, now)).fold(0.0, f64::max);
    gauge!(SAGA_OVERDUE).set(overdue);
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floating point")]
fn tell_effects(open: &[OpenEffects], now: OffsetDateTime) {
    for state in OPEN.map(EffectState::as_str) {
        let found = open.iter().find(|row| row.state == state);
        let (count, oldest) = found.map_or((0, 0.0), |row| (row.count, age(row.oldest, now)));
        gauge!(EFFECTS_OPEN, "service" => "order", "state" => state).set(count as f64);
        gauge!(EFFECTS_OLDEST, "service" => "order", "state" => state).set(oldest);
    }
}

/// Seconds that have gone since; 0 when it is to come.
fn age(since: OffsetDateTime, now: OffsetDateTime) -> f64 {
    (now - since).as_seconds_f64().max(0.0)
}
