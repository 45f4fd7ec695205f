//! Sagas and tasks that cannot go on by themselves, the longest parked first.

use oms_core::OrderId;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::ctx::Ctx;
use crate::domain::saga::Saga;
use crate::error::Error;
use crate::store::sagas;
use crate::store::stuck_tasks::{self, StuckTask};

/// A saga step or task that is parked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exception {
    /// Id of the task; of the order for its saga.
    pub(crate) id: Uuid,
    /// Order, if it is known.
    pub(crate) order_id: Option<OrderId>,
    /// Step or task kind.
    pub(crate) step: String,
    /// Why, for people.
    pub(crate) reason: String,
    /// Attempts so far.
    pub(crate) attempts: i32,
    /// Since when.
    pub(crate) parked_at: OffsetDateTime,
    /// What would release it.
    pub(crate) supported_actions: Vec<&'static str>,
}

/// Lists exceptions after a position.
pub(crate) async fn list_exceptions(
    ctx: &Ctx,
    after: Option<(OffsetDateTime, Uuid)>,
    limit: i64,
) -> Result<Vec<Exception>, Error> {
    let mut conn = ctx.db.snapshot().await?;
    let mut found: Vec<Exception> = sagas::list_stuck(&mut conn, after, limit)
        .await?
        .into_iter()
        .map(of_saga)
        .collect();
    let stuck = stuck_tasks::list(&mut conn, after, limit).await?;
    found.extend(stuck.into_iter().map(of_task));
    found.sort_by_key(|one| (one.parked_at, one.id));
    found.truncate(usize::try_from(limit).unwrap_or_default());
    Ok(found)
}

fn of_saga(saga: Saga) -> Exception {
    Exception {
        id: saga.order_id.uuid(),
        order_id: Some(saga.order_id),
        step: saga.step.as_str().to_owned(),
        supported_actions: saga.supported_actions(),
        reason: saga.last_error,
        attempts: saga.attempt,
        // A stuck saga has its time.
        parked_at: saga.stuck_since.unwrap_or(saga.started_at),
    }
}

fn of_task(task: StuckTask) -> Exception {
    Exception {
        id: task.id,
        order_id: task.order_id,
        step: task.kind,
        reason: task.last_error,
        attempts: task.attempt,
        parked_at: task.stuck_at,
        supported_actions: stuck_tasks::TASK_ACTIONS.to_vec(),
    }
}
