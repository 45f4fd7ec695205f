//! Queues units that no location has at inventory, so that they ship when stock comes. Those that may not wait are
//! canceled.

use std::sync::Arc;

use oms_core::{OrderId, ReservationId, derive};
use oms_postgres::{Outcome, Task, TaskError};
use oms_proto::common::v1::ErrorReason;

use super::{order_id_of, task_error};
use crate::changes::{self, Change, Event};
use crate::commands::record_short::{Short, cancel_short};
use crate::commands::task_payload::decode;
use crate::ctx::{Ctx, request_id_for};
use crate::domain::reservation::Reservation;
use crate::error::Error;
use crate::store::{orders, reservations};

/// Handler of [`crate::commands::record_short::BACKORDER_SHORT_TASK`].
pub(crate) async fn run(ctx: Arc<Ctx>, task: Task) -> Result<Outcome, TaskError> {
    let order_id = order_id_of(&task)?;
    let short: Short = decode(&task.payload).map_err(TaskError::Stuck)?;
    let cause = format!("short/{}", short.event_id);
    let order = {
        let mut conn = ctx.db.read().await?;
        let found = orders::load(&mut conn, order_id).await;
        found.map_err(|error| task_error(error.into()))?
    };
    let order = order.ok_or_else(|| task_error(Error::order_not_found(order_id)))?;
    let reservation_id = ReservationId::new(derive(order_id.uuid(), &cause));
    let request_id = request_id_for(reservation_id.uuid(), "reserve");
    let units = (short.order_line_id, short.quantity);
    let reserved = ctx
        .inventory
        .backorder(request_id, reservation_id, &order, units)
        .await;
    let reserved = match reserved {
        Err(error) if error.reason() == Some(ErrorReason::BackorderCapReached) => {
            return cancel(&ctx, &task, order_id, &short).await;
        }
        reserved => reserved?,
    };
    let copy = Reservation {
        cause,
        ..reserved.reservation
    };
    let (ctx, task, copy, short) = (&*ctx, &task, &copy, &short);
    ctx.db
        .run_tx("backorder_short", |tx| {
            Box::pin(async move {
                let conn = tx.conn();
                let mut order = changes::lock(conn, order_id).await?;
                reservations::upsert(conn, copy).await?;
                let all = reservations::list(conn, order_id).await?;
                // The feed may have told of it before this answer.
                if order.set_reserved(&all) {
                    let change = Change {
                        actor: &task.actor,
                        action: "backorder",
                        detail: format!(
                            "{} units were not found and wait for stock",
                            short.quantity
                        ),
                        event: Event::Progressed("backordered"),
                    };
                    order.write(conn, ctx, &change).await?;
                }
                Ok::<_, Error>(task.finish(conn).await?)
            })
        })
        .await
        .map_err(task_error)?;
    Ok(Outcome::AlreadyFinished)
}

/// No more units of the item may wait.
async fn cancel(
    ctx: &Ctx,
    task: &Task,
    order_id: OrderId,
    short: &Short,
) -> Result<Outcome, TaskError> {
    ctx.db
        .run_tx("cancel_short", |tx| {
            Box::pin(async move {
                let conn = tx.conn();
                cancel_short(conn, ctx, order_id, short, &task.actor).await?;
                Ok::<_, Error>(task.finish(conn).await?)
            })
        })
        .await
        .map_err(task_error)?;
    Ok(Outcome::AlreadyFinished)
}
