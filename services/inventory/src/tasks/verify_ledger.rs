//! Verifies the ledger from time to time: every replica asks for it, one task per interval does it.

use std::sync::Arc;
use std::time::Duration;

use metrics::{describe_gauge, gauge};
use oms_core::{Clock, derive};
use oms_postgres::{Db, NewTask, Outcome, Task, TaskError, tasks};
use time::OffsetDateTime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::commands::{self, VerifyLedger};
use crate::ctx::{Ctx, SERVICE};
use crate::store;

use super::{call, failure};

/// Kind of the task.
pub(super) const VERIFY_LEDGER: &str = "verify_ledger";

/// Levels of which the books disagreed in the last run over everything, whoever ran it.
const DRIFT: &str = "oms_inventory_stock_drift";

/// Longest pause between two looks at the clock and at the last run.
const LOOK_MAX: Duration = Duration::from_secs(30);

/// Longest a task goes on at a time. Then it comes back and goes on where it was.
const RUN_MAX: Duration = Duration::from_mins(2);

/// Tells the metrics recorder what the metrics mean.
pub(crate) fn describe_metrics() {
    describe_gauge!(
        DRIFT,
        "levels of which ledger, level and reservations disagreed when they were last verified"
    );
}

/// Asks for verifications, and tells what the last one has found.
pub(crate) struct Verifications {
    /// The service's database.
    pub(crate) db: Db,
    /// Where all time comes from.
    pub(crate) clock: Arc<dyn Clock>,
    /// How often to verify; `None` for on request only.
    pub(crate) interval: Option<Duration>,
}

impl Verifications {
    /// Runs until canceled.
    pub(crate) fn spawn(self, cancel: CancellationToken) -> JoinHandle<()> {
        let pause = self
            .interval
            .map_or(LOOK_MAX, |interval| interval.min(LOOK_MAX));
        tokio::spawn(async move {
            loop {
                if let Err(error) = self.look().await {
                    tracing::warn!(%error, "verification of the ledger cannot be asked for");
                }
                tokio::select! {
                    () = cancel.cancelled() => return,
                    () = tokio::time::sleep(pause) => {}
                }
            }
        })
    }

    async fn look(&self) -> Result<(), oms_postgres::Error> {
        if let Some(task) = self.due_task() {
            let task = &task;
            self.db
                .run_tx_quiet("ask_for_verification", |tx| {
                    Box::pin(async move { tasks::insert(tx, task).await })
                })
                .await?;
        }
        let mut conn = self.db.read().await?;
        if let Some(drifted) = store::ledger_runs::drifted_at_last(&mut conn).await? {
            #[expect(clippy::cast_precision_loss, reason = "gauges are floating point")]
            gauge!(DRIFT).set(drifted as f64);
        }
        Ok(())
    }

    /// The task of the present interval: the same one at every replica.
    fn due_task(&self) -> Option<NewTask> {
        let now = self.clock.now();
        let slot = slot(now, self.interval?);
        Some(NewTask {
            id: derive(Uuid::NAMESPACE_OID, &format!("{VERIFY_LEDGER}/{slot}")),
            kind: VERIFY_LEDGER,
            key: slot.to_string(),
            payload: Vec::new(),
            run_at: now,
            actor: SERVICE.to_owned(),
        })
    }
}

/// Beginning of the interval in milliseconds since 1970.
fn slot(now: OffsetDateTime, interval: Duration) -> i128 {
    let millis = now.unix_timestamp_nanos() / 1_000_000;
    let interval = i128::try_from(interval.as_millis()).unwrap_or(i128::MAX);
    millis - millis.rem_euclid(interval.max(1))
}

pub(super) async fn run(ctx: Arc<Ctx>, task: Task) -> Result<Outcome, TaskError> {
    let call = call(&task, "VerifyLedger")?;
    let what = VerifyLedger {
        is_full: false,
        skus: None,
    };
    let verified = commands::verify_ledger(&ctx, call, what);
    let Ok(verified) = tokio::time::timeout(RUN_MAX, verified).await else {
        return Ok(Outcome::RetryAt(ctx.clock.now()));
    };
    let run = verified.map_err(failure)?.run;
    if run.seen.levels_drifted > 0 {
        tracing::error!(
            levels = run.seen.levels_drifted,
            run = %run.id,
            "stock levels, ledger and reservations disagree"
        );
    }
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_has_one_slot() {
        let at =
            |millis: i128| OffsetDateTime::from_unix_timestamp_nanos(millis * 1_000_000).unwrap();
        let hour = Duration::from_hours(1);
        assert_eq!(slot(at(3_600_000), hour), 3_600_000);
        assert_eq!(slot(at(7_199_999), hour), 3_600_000);
        assert_eq!(slot(at(7_200_000), hour), 7_200_000);
    }
}
