//! Takes units off their batches whose stock turned out not to be there. They wait for stock again, and go to
//! fulfillment in another batch when it comes. Those that fulfillment has already are called back by
//! [`super::call_back_units`].

use std::sync::Arc;

use oms_core::{OrderId, derive};
use oms_postgres::{NewTask, Outcome, Task, TaskError, tasks};
use sqlx::PgConnection;
use time::Duration;

use super::call_back_units::CALL_BACK_UNITS_TASK;
use super::{order_id_of, task_error};
use crate::changes;
use crate::commands::task_payload::encode;
use crate::ctx::Ctx;
use crate::domain::cancellation_plan::Units;
use crate::domain::release::{ReleaseState, displaced, take_off};
use crate::domain::state::OrderState;
use crate::error::Error;
use crate::store::{releases, reservations};

/// While the order is not confirmed yet, or its units are on their way to fulfillment.
const LOOK_AGAIN: Duration = Duration::seconds(1);

/// Handler of [`crate::commands::record_reservation::RECALL_DISPLACED_TASK`]. What to take is told by the batches and
/// the reservations, under the lock of the order, so that nothing is taken twice.
pub(crate) async fn run(ctx: Arc<Ctx>, task: Task) -> Result<Outcome, TaskError> {
    let order_id = order_id_of(&task)?;
    let (ctx, task) = (&*ctx, &task);
    let finished = ctx
        .db
        .run_tx("recall_displaced", |tx| {
            Box::pin(async move { recall(tx.conn(), ctx, task, order_id).await })
        })
        .await
        .map_err(task_error)?;
    Ok(if finished {
        Outcome::AlreadyFinished
    } else {
        Outcome::RetryAt(ctx.now() + LOOK_AGAIN)
    })
}

/// False when it is too early.
async fn recall(
    conn: &mut PgConnection,
    ctx: &Ctx,
    task: &Task,
    order_id: OrderId,
) -> Result<bool, Error> {
    let order = changes::lock(conn, order_id).await?;
    let mut batches = releases::list(conn, order_id).await?;
    let sent = batches
        .iter()
        .any(|batch| batch.state == ReleaseState::Sent);
    if order.state == OrderState::Pending || sent {
        return Ok(false);
    }
    let mut units = displaced(&batches, &reservations::list(conn, order_id).await?);
    let before = batches.clone();
    take_off(&mut batches, ReleaseState::Planned, &mut units);
    let with_fulfillment: Vec<Units> = units.iter().map(Units::from).collect();
    take_off(&mut batches, ReleaseState::Released, &mut units);
    let both = batches.iter().zip(&before);
    for (batch, _) in both.filter(|(batch, before)| batch != before) {
        releases::replace_lines(conn, order_id, batch).await?;
    }
    if !with_fulfillment.is_empty() && !order.state.is_final() {
        let next = NewTask {
            id: derive(task.id, CALL_BACK_UNITS_TASK),
            kind: CALL_BACK_UNITS_TASK,
            key: task.key.clone(),
            payload: encode(&with_fulfillment),
            run_at: ctx.now(),
            actor: task.actor.clone(),
        };
        tasks::insert(conn, &next).await?;
    }
    task.finish(conn).await?;
    Ok(true)
}
