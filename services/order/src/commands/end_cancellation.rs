//! Ends a cancellation with what came of it: units, legs, the event, and what follows for the money and the order.

use oms_core::{CancellationId, OrderLineId};
use sqlx::PgConnection;

use super::settle_order::{refund_canceled, settle_order};
use crate::changes::{Change, Event, Locked};
use crate::ctx::Ctx;
use crate::domain::cancellation::Cancellation;
use crate::domain::cancellation_plan::Plan;
use crate::error::Error;
use crate::store::{StoreError, cancellation_plans, sagas};

/// Counts what the plan came to and writes it. The order is locked, and its reservations are counted.
pub(crate) async fn end_cancellation(
    conn: &mut PgConnection,
    ctx: &Ctx,
    order: &mut Locked,
    id: CancellationId,
    plan: &Plan,
    actor: &str,
) -> Result<(), Error> {
    let mut cancellation = find(order, id)?;
    let done: Vec<(OrderLineId, i64)> = plan.done().into_iter().collect();
    for (line_id, quantity) in &done {
        for line in &mut order.lines {
            if line.order_line_id == *line_id {
                line.counters.canceled += quantity;
            }
        }
        for line in &mut cancellation.lines {
            if line.order_line_id == *line_id {
                line.canceled = *quantity;
            }
        }
    }
    let refunds = refund_canceled(conn, ctx, order, id, &done, actor).await?;
    // When nothing is left of the order, its authorization is given up.
    let ends = order.lines.iter().all(|line| line.live() == 0);
    let voids = ends && order.money.authorized > 0;
    plan.conclude(&mut cancellation, refunds, voids);
    let units: i64 = done.iter().map(|(_, quantity)| quantity).sum();
    let asked: i64 = cancellation.lines.iter().map(|line| line.quantity).sum();
    let detail = format!("{units} of {asked} units canceled");
    write_ended(conn, ctx, order, cancellation, actor, detail).await?;
    // What waited for these units may go now.
    sagas::signal(conn, order.order_id, ctx.now()).await?;
    settle_order(conn, ctx, order).await
}

/// A cancellation of the order.
pub(crate) fn find(order: &Locked, id: CancellationId) -> Result<Cancellation, Error> {
    let mut all = order.cancellations.iter();
    let found = all.find(|one| one.cancellation_id == id).cloned();
    Ok(found.ok_or_else(|| StoreError::inconsistent("cancellations", "cancellation_id", id))?)
}

/// Writes a cancellation that has ended, with its event.
pub(crate) async fn write_ended(
    conn: &mut PgConnection,
    ctx: &Ctx,
    order: &mut Locked,
    cancellation: Cancellation,
    actor: &str,
    detail: String,
) -> Result<(), Error> {
    cancellation_plans::save_cancellation(conn, &cancellation, ctx.now()).await?;
    for one in &mut order.cancellations {
        if one.cancellation_id == cancellation.cancellation_id {
            one.clone_from(&cancellation);
        }
    }
    let change = Change {
        actor,
        action: "cancel_lines",
        detail,
        event: Event::LinesCanceled(cancellation),
    };
    Ok(order.write(conn, ctx, &change).await?)
}
