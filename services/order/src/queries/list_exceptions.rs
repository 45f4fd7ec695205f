//! Sagas and tasks that cannot go on by themselves, the longest parked first.

use oms_core::{OrderId, PaymentId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::ctx::Ctx;
use crate::domain::payment::Payment;
use crate::domain::ruling::{asked_by_task, in_doubt, task_actions};
use crate::domain::saga::Saga;
use crate::error::Error;
use crate::store::stuck_tasks::{self, StuckTask};
use crate::store::{payments, sagas};

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
    /// Payments that it asked for and of which nobody knows what the provider did.
    pub(crate) in_doubt: Vec<PaymentId>,
}

/// Lists exceptions after a position.
pub(crate) async fn list_exceptions(
    ctx: &Ctx,
    after: Option<(OffsetDateTime, Uuid)>,
    limit: i64,
) -> Result<Vec<Exception>, Error> {
    let mut conn = ctx.db.snapshot().await?;
    let sagas = sagas::list_stuck(&mut conn, after, limit).await?;
    let tasks = stuck_tasks::list(&mut conn, after, limit).await?;
    let mut orders: Vec<OrderId> = sagas.iter().map(|saga| saga.order_id).collect();
    orders.extend(tasks.iter().filter_map(|task| task.order_id));
    let open = payments::list_open(&mut conn, &orders).await?;
    let mut found: Vec<Exception> = sagas.into_iter().map(|saga| of_saga(saga, &open)).collect();
    found.extend(tasks.into_iter().map(|task| of_task(task, &open)));
    found.sort_by_key(|one| (one.parked_at, one.id));
    found.truncate(usize::try_from(limit).unwrap_or_default());
    Ok(found)
}

/// The payments of an order among those of many.
fn of_order(order_id: Option<OrderId>, all: &[Payment]) -> Vec<Payment> {
    let of_order = all.iter().filter(|one| Some(one.order_id) == order_id);
    of_order.cloned().collect()
}

fn ids(payments: &[&Payment]) -> Vec<PaymentId> {
    payments.iter().map(|one| one.payment_id).collect()
}

fn of_saga(saga: Saga, open: &[Payment]) -> Exception {
    let open = of_order(Some(saga.order_id), open);
    let in_doubt = in_doubt(&saga.asked(&open));
    Exception {
        id: saga.order_id.uuid(),
        order_id: Some(saga.order_id),
        step: saga.step.as_str().to_owned(),
        supported_actions: saga.supported_actions(!in_doubt.is_empty()),
        in_doubt: ids(&in_doubt),
        reason: saga.last_error,
        attempts: saga.attempt,
        // A stuck saga has its time.
        parked_at: saga.stuck_since.unwrap_or(saga.started_at),
    }
}

fn of_task(task: StuckTask, open: &[Payment]) -> Exception {
    let open = of_order(task.order_id, open);
    let in_doubt = in_doubt(&asked_by_task(&task.kind, &task.cause, &open));
    Exception {
        id: task.id,
        order_id: task.order_id,
        step: task.kind,
        reason: task.last_error,
        attempts: task.attempt,
        parked_at: task.stuck_at,
        supported_actions: task_actions(!in_doubt.is_empty()),
        in_doubt: ids(&in_doubt),
    }
}
