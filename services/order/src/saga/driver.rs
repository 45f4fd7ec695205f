//! Claims due sagas and works on them, many at once.

use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, gauge};
use oms_telemetry::TraceContext;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::lease;
use super::run::Run;
use crate::ctx::Ctx;
use crate::domain::order::Order;
use crate::domain::saga::Saga;
use crate::error::Error;
use crate::store::{orders, sagas};

/// Sagas that one claim takes at most.
const CLAIM_MOST: usize = 64;

/// Starts the driver of this process. It ends when `cancel` is canceled and what it works on has come to
/// the end of its step.
pub(crate) fn spawn(ctx: Arc<Ctx>, cancel: CancellationToken) -> JoinHandle<()> {
    tokio::spawn(async move {
        // Whoever aborts this task, as a crash would, aborts the work that it has started.
        let _abort = ctx.saga_abort.clone().drop_guard();
        let places = Arc::new(Semaphore::new(ctx.config.saga.concurrency.max(1)));
        while !cancel.is_cancelled() {
            let took = match claim_and_start(&ctx, &places).await {
                Ok(took) => took,
                Err(error) => {
                    tracing::warn!(error = %error, "claiming sagas failed");
                    false
                }
            };
            if took {
                continue;
            }
            tokio::select! {
                () = cancel.cancelled() => {}
                () = ctx.saga_wakes.notified() => {}
                () = tokio::time::sleep(pause(&ctx)) => {}
            }
        }
        ctx.background.close();
        ctx.background.wait().await;
    })
}

/// The configured pause, spread so that replicas do not look at the same moment.
fn pause(ctx: &Ctx) -> Duration {
    let most = Duration::from_millis(ctx.config.saga.poll_ms);
    most.mul_f64(0.5 + 0.5 * share(ctx))
}

/// A number between 0 and 1 from the random bits of a new id.
pub(super) fn share(ctx: &Ctx) -> f64 {
    let bits = u16::try_from(ctx.id().as_u128() & u128::from(u16::MAX)).unwrap_or_default();
    f64::from(bits) / f64::from(u16::MAX)
}

/// Claims as many due sagas as there are free places; true when there may be more.
async fn claim_and_start(ctx: &Arc<Ctx>, places: &Arc<Semaphore>) -> Result<bool, Error> {
    // Waits for a place before claiming, so that nothing is claimed that would then wait.
    let Ok(first) = Arc::clone(places).acquire_owned().await else {
        return Ok(false);
    };
    let limit = (places.available_permits() + 1).min(CLAIM_MOST);
    drop(first);
    // One holder per process would do; one per claim also tells apart what a process did before it slept.
    let holder = ctx.id();
    let claimed = claim(ctx, holder, i64::try_from(limit).unwrap_or(1)).await?;
    gauge!("oms_order_sagas_running").set(f64::from(
        u32::try_from(ctx.background.len()).unwrap_or(u32::MAX),
    ));
    let took = claimed.len();
    counter!("oms_order_sagas_claimed").increment(u64::try_from(took).unwrap_or_default());
    for saga in claimed {
        let Ok(place) = Arc::clone(places).acquire_owned().await else {
            return Ok(false);
        };
        let Some(order) = load(ctx, &saga, holder).await else {
            continue;
        };
        let run = Run::new(saga, order, holder, None);
        let span = run.span();
        let root_age = ctx.now() - run.saga().started_at;
        let cause = TraceContext::parse(&run.saga().traceparent);
        oms_telemetry::continue_or_link(&span, &cause, root_age);
        run.spawn(ctx, span, place);
    }
    Ok(took == limit)
}

/// The order of a claimed saga; `None` when it cannot be read now. One that can never be read is left to a
/// person, and the others go on.
async fn load(ctx: &Ctx, saga: &Saga, holder: Uuid) -> Option<Order> {
    let read = async {
        let mut conn = ctx.db.read().await?;
        Ok::<_, Error>(orders::load(&mut conn, saga.order_id).await?)
    };
    let error = match read.await {
        Ok(order) => return order,
        Err(error) => error,
    };
    tracing::error!(order_id = %saga.order_id, error = %error, "order of a saga cannot be read");
    if !error.is_momentary() {
        let (now, message) = (ctx.now(), &error.to_string());
        let parked = ctx.db.run_tx("park_saga", |tx| {
            Box::pin(async move {
                Ok::<_, Error>(sagas::park(tx.conn(), saga, holder, message, now).await?)
            })
        });
        parked.await.ok();
    }
    None
}

/// Claims due sagas for a holder.
pub(crate) async fn claim(ctx: &Ctx, holder: Uuid, limit: i64) -> Result<Vec<Saga>, Error> {
    let (now, lease) = (ctx.now(), lease(ctx, holder));
    ctx.db
        .run_tx("claim_sagas", |tx| {
            Box::pin(async move { Ok(sagas::claim_due(tx.conn(), lease, now, limit).await?) })
        })
        .await
}
