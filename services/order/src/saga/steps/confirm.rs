//! Confirm: the pivot, in the same transaction as the allocation. From here it only goes forward.

use oms_core::{CancellationId, derive};
use oms_postgres::{NewTask, tasks};
use sqlx::PgConnection;

use super::{Done, Failure};
use crate::changes::{Change, Event, Locked};
use crate::ctx::{Ctx, SERVICE_ACTOR};
use crate::domain::cancellation::{Cancellation, CancellationLine};
use crate::domain::capture::{CAPTURE_ORDER, CAPTURE_PAYMENT_TASK};
use crate::domain::order::{FillPolicy, PaymentPolicy};
use crate::domain::release::{self, FIRST_BATCH, ReleaseState};
use crate::domain::reservation::Reservation;
use crate::domain::state::{OrderAction, OrderState};
use crate::error::transition;
use crate::saga::run::{Lost, Run};
use crate::store::{cancellations, releases, reservations};

/// The confirmation was committed with the allocation.
pub(super) fn forward(run: &Run) -> Result<Done, Failure> {
    if run.order().state == OrderState::Pending {
        return Err(Failure::Stuck("the order is not confirmed".to_owned()));
    }
    Ok(Done::pass("confirmed with the allocation"))
}

/// Confirms the order: cancels what nothing was reserved for, plans the first batch for fulfillment and the
/// capture of a prepaid order.
pub(super) async fn confirm(
    conn: &mut PgConnection,
    ctx: &Ctx,
    order: &mut Locked,
    reservation: &Reservation,
) -> Result<(), Lost> {
    if order.fill_policy == FillPolicy::FillAllAvailable {
        cancel_rest(conn, ctx, order).await?;
    }
    let now = ctx.now();
    let mut batch = release::of_reservation(FIRST_BATCH, reservation);
    if !batch.lines.is_empty() {
        if release::blocked(order).is_none() {
            batch.state = ReleaseState::Sent;
        }
        releases::insert(conn, order.order_id, &batch, now).await?;
        reservations::set_batched(conn, reservation.reservation_id, reservation.version).await?;
    }
    if order.payment_policy == PaymentPolicy::Prepaid && order.money.authorized > 0 {
        let task = NewTask {
            id: derive(order.order_id.uuid(), CAPTURE_ORDER),
            kind: CAPTURE_PAYMENT_TASK,
            key: order.order_id.to_string(),
            payload: b"order".to_vec(),
            run_at: now,
            actor: SERVICE_ACTOR.to_owned(),
        };
        tasks::insert(conn, &task).await?;
    }
    order.state = transition(order, OrderAction::Confirm)?;
    order.saga_step.clear();
    let change = Change {
        actor: SERVICE_ACTOR,
        action: OrderAction::Confirm.as_str(),
        detail: format!(
            "{} with reservation {}",
            super::units(order),
            reservation.reservation_id
        ),
        event: Event::Confirmed,
    };
    order.write(conn, ctx, &change).await?;
    Ok(())
}

/// Cancels the units that nothing was reserved for, as the fill policy says.
async fn cancel_rest(conn: &mut PgConnection, ctx: &Ctx, order: &mut Locked) -> Result<(), Lost> {
    let mut lines = Vec::new();
    for line in &mut order.lines {
        let rest = line.live() - line.counters.allocated - line.counters.backordered;
        if rest > 0 {
            line.counters.canceled += rest;
            lines.push(CancellationLine {
                order_line_id: line.order_line_id,
                quantity: rest,
                canceled: rest,
            });
        }
    }
    if lines.is_empty() {
        return Ok(());
    }
    let units: i64 = lines.iter().map(|line| line.canceled).sum();
    let cancellation = Cancellation {
        cancellation_id: CancellationId::new(derive(order.order_id.uuid(), "cancellation/short")),
        state: "COMPLETED".to_owned(),
        lines,
        reason: "OUT_OF_STOCK".to_owned(),
        note: "not available when the order was confirmed".to_owned(),
        actor: SERVICE_ACTOR.to_owned(),
        legs: Vec::new(),
        created_at: ctx.now(),
    };
    cancellations::insert(conn, order.order_id, &cancellation).await?;
    order.cancellations.push(cancellation.clone());
    let change = Change {
        actor: SERVICE_ACTOR,
        action: "cancel_lines",
        detail: format!("{units} units are not available"),
        event: Event::LinesCanceled(cancellation),
    };
    order.write(conn, ctx, &change).await?;
    Ok(())
}
