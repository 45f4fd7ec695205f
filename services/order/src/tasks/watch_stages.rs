//! Tells the metrics recorder how many open orders wait for what, so that an alert can fire before a promise is broken.

use std::time::Duration;

use metrics::{Unit, describe_gauge, gauge};
use tokio_util::sync::CancellationToken;

use crate::ctx::Ctx;
use crate::domain::stage::Stage;
use crate::error::Error;
use crate::store::stages::{self, Horizon};

const BACKLOG: &str = "oms.order.stage_backlog";
const AT_RISK: &str = "oms.order.stage_at_risk";
const LATE: &str = "oms.order.stage_late";
const OLDEST: &str = "oms.order.stage_oldest_age_seconds";

/// Tells the metrics recorder what these metrics mean.
pub(crate) fn describe_metrics() {
    describe_gauge!(BACKLOG, "open orders, by the stage that they wait for");
    describe_gauge!(
        AT_RISK,
        "of those, the ones whose stage is late or soon will be, by stage"
    );
    describe_gauge!(LATE, "of those, the ones whose stage is late, by stage");
    describe_gauge!(
        OLDEST,
        Unit::Seconds,
        "how long the order that waits longest for a stage has waited, by stage"
    );
}

/// Looks again and again until canceled. Every replica tells the same.
pub(crate) async fn run(ctx: &Ctx, pause: Duration, cancel: &CancellationToken) {
    loop {
        if let Err(error) = look(ctx).await {
            tracing::debug!(error = %error, "the backlog could not be counted");
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "gauges are floating point, and counts are small"
)]
async fn look(ctx: &Ctx) -> Result<(), Error> {
    let now = ctx.now();
    let until = now.saturating_add(ctx.config.deadlines.at_risk());
    let rows = {
        let mut conn = ctx.db.read().await?;
        stages::totals(&mut conn, Horizon { now, until }).await?
    };
    for stage in Stage::ALL {
        let row = rows.iter().find(|row| row.stage == stage);
        let count = |of: fn(&crate::domain::stage::Backlog) -> i64| row.map_or(0, of) as f64;
        let age = row.map_or(0.0, |row| (now - row.oldest).as_seconds_f64().max(0.0));
        let label = stage.as_str().to_ascii_lowercase();
        gauge!(BACKLOG, "stage" => label.clone()).set(count(|row| row.orders));
        gauge!(AT_RISK, "stage" => label.clone()).set(count(|row| row.at_risk));
        gauge!(LATE, "stage" => label.clone()).set(count(|row| row.late));
        gauge!(OLDEST, "stage" => label).set(age);
    }
    Ok(())
}
