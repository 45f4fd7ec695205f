//! Ends a hold at the time it was given.

use std::sync::Arc;

use oms_core::HoldId;
use oms_postgres::{Outcome, Task, TaskError};

use crate::changes;
use crate::commands::release_hold;
use crate::ctx::{Ctx, SERVICE_ACTOR};
use crate::error::Error;
use crate::store::holds;

use super::task_error;

/// Handler of [`crate::commands::place_hold::RELEASE_HOLD_TASK`]; the key is the hold's id.
pub(crate) async fn run(ctx: Arc<Ctx>, task: Task) -> Result<Outcome, TaskError> {
    let hold_id = task
        .key
        .parse::<HoldId>()
        .map_err(|error| TaskError::Stuck(error.to_string()))?;
    let (ctx, task) = (&*ctx, &task);
    ctx.db
        .run_tx("release_hold_in_time", |tx| {
            Box::pin(async move {
                let conn = tx.conn();
                if let Some(order_id) = holds::order_of(conn, hold_id).await? {
                    let mut order = changes::lock(conn, order_id).await?;
                    oms_telemetry::record_order_id(&tracing::Span::current(), order_id);
                    let note = "its time has come";
                    release_hold::end(conn, ctx, &mut order, hold_id, SERVICE_ACTOR, note).await?;
                }
                Ok::<_, Error>(task.finish(conn).await?)
            })
        })
        .await
        .map_err(task_error)?;
    ctx.wake_sagas();
    Ok(Outcome::AlreadyFinished)
}
