//! Has fulfillment orders cancel units whose stock turned out not to be there. What was picked already cannot be called
//! back: a hold keeps the order from going on until a person has looked.

use std::collections::BTreeMap;
use std::sync::Arc;

use oms_core::{FulfillmentOrderId, HoldId, OrderId, OrderLineId, derive};
use oms_postgres::{Outcome, Task, TaskError};
use sqlx::PgConnection;

use super::run_cancellation::is_refusal;
use super::{order_id_of, task_error};
use crate::changes::{self, Change, Event};
use crate::commands::task_payload::decode;
use crate::ctx::{Ctx, SERVICE_ACTOR, request_id_for};
use crate::domain::cancellation_plan::Units;
use crate::domain::order::{Hold, HoldBlock};
use crate::domain::release::FulfillmentOrder;
use crate::error::Error;
use crate::store::{fulfillment_orders, holds, sagas};

/// Task that asks for them; its payload is the units.
pub(crate) const CALL_BACK_UNITS_TASK: &str = "call_back_units";

/// Units by location and order line.
type Wanted = BTreeMap<(String, OrderLineId), i64>;

/// Handler of [`CALL_BACK_UNITS_TASK`]. Every question has an id that follows from what it asks, so that the task may
/// run again.
pub(crate) async fn run(ctx: Arc<Ctx>, task: Task) -> Result<Outcome, TaskError> {
    let order_id = order_id_of(&task)?;
    let units: Vec<Units> = decode(&task.payload).map_err(TaskError::Stuck)?;
    let mut wanted = Wanted::new();
    for one in units {
        *wanted
            .entry((one.location_id, one.order_line_id))
            .or_default() += one.quantity;
    }
    let work = {
        let mut conn = ctx.db.read().await?;
        let found = fulfillment_orders::list(&mut conn, order_id).await;
        found.map_err(|error| task_error(error.into()))?
    };
    let is_open = |one: &&FulfillmentOrder| !matches!(one.state.as_str(), "CLOSED" | "CANCELED");
    for one in work.iter().filter(is_open) {
        ask(&ctx, &task, one, &mut wanted).await?;
    }
    let left: i64 = wanted.values().sum();
    let (ctx, task) = (&*ctx, &task);
    ctx.db
        .run_tx("call_back_units", |tx| {
            Box::pin(async move { finish(tx.conn(), ctx, task, order_id, left).await })
        })
        .await
        .map_err(task_error)?;
    ctx.wake_sagas();
    Ok(Outcome::AlreadyFinished)
}

/// Asks one fulfillment order for the units of its location, line by line: which lines it has is not known here.
async fn ask(
    ctx: &Ctx,
    task: &Task,
    of: &FulfillmentOrder,
    wanted: &mut Wanted,
) -> Result<(), TaskError> {
    let here = wanted
        .iter_mut()
        .filter(|((location, _), left)| *location == of.location_id && **left > 0);
    for ((_, line), left) in here {
        let canceled = cancel(ctx, task, of.fulfillment_order_id, (*line, *left)).await?;
        *left -= canceled;
    }
    Ok(())
}

/// Answers how many units were canceled.
async fn cancel(
    ctx: &Ctx,
    task: &Task,
    id: FulfillmentOrderId,
    (line, quantity): (OrderLineId, i64),
) -> Result<i64, TaskError> {
    let request_id = request_id_for(task.id, &format!("{id}/{line}={quantity}"));
    let reason = "the stock is not there";
    let lines = [(line, quantity)];
    match ctx.fulfillment.cancel(request_id, id, &lines, reason).await {
        Ok(answer) => Ok(answer.lines.iter().map(|line| line.quantity).sum()),
        Err(error) if is_refusal(&error) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

async fn finish(
    conn: &mut PgConnection,
    ctx: &Ctx,
    task: &Task,
    order_id: OrderId,
    left: i64,
) -> Result<(), Error> {
    let mut order = changes::lock(conn, order_id).await?;
    if left > 0 && !order.state.is_final() {
        let hold = hold(ctx, task, left);
        holds::insert(conn, order_id, &hold).await?;
        order.holds.push(hold.clone());
        let change = Change {
            actor: SERVICE_ACTOR,
            action: "place_hold",
            detail: format!("{}: {}", hold.reason, hold.note),
            event: Event::HoldPlaced(hold),
        };
        order.write(conn, ctx, &change).await?;
    }
    sagas::signal(conn, order_id, ctx.now()).await?;
    Ok(task.finish(conn).await?)
}

fn hold(ctx: &Ctx, task: &Task, units: i64) -> Hold {
    Hold {
        hold_id: HoldId::new(derive(task.id, "hold")),
        order_line_id: None,
        reason: "INVENTORY_OUT_OF_STOCK".to_owned(),
        blocks: vec![HoldBlock::ReleaseToNode],
        active: true,
        note: format!("{units} units are being picked whose stock is not there"),
        placed_by: SERVICE_ACTOR.to_owned(),
        created_at: ctx.now(),
        release_at: None,
        released_by: String::new(),
        released_at: None,
    }
}
