//! Ends an order whose saga is undone.

use oms_core::OrderId;
use sqlx::PgConnection;

use crate::changes::{Change, Event, Locked};
use crate::ctx::{Ctx, SERVICE_ACTOR};
use crate::domain::saga::UndoTo;
use crate::domain::state::{OrderAction, OrderState};
use crate::error::{Error, transition};

/// Ends the order in the state that the saga unwound to. An order that has ended stays as it is.
pub(super) async fn end(
    conn: &mut PgConnection,
    ctx: &Ctx,
    order: &mut Locked,
    to: UndoTo,
    reason: &str,
) -> Result<(), Error> {
    if order.state.is_final() {
        return Ok(());
    }
    let action = match to {
        UndoTo::Rejected => OrderAction::Reject,
        UndoTo::Canceled => OrderAction::Cancel,
        UndoTo::Expired => OrderAction::Expire,
    };
    order.state = transition(order, action)?;
    // The saga knows only that somebody asked; the request says why.
    let asked = order
        .cancellations
        .last()
        .filter(|_| to == UndoTo::Canceled);
    let reason = asked.map_or_else(|| reason.to_owned(), |asked| asked.reason.clone());
    order.state_reason.clone_from(&reason);
    order.saga_step.clear();
    if order.state == OrderState::Canceled {
        cancel_lines(order);
    }
    let change = Change {
        actor: SERVICE_ACTOR,
        action: action.as_str(),
        detail: reason.clone(),
        event: Event::Ended,
    };
    order.write(conn, ctx, &change).await?;
    let id: OrderId = order.order_id;
    tracing::info!(order_id = %id, state = order.state.as_str(), reason, "order ended");
    Ok(())
}

/// Every unit of an order that was canceled before its pivot is canceled.
fn cancel_lines(order: &mut Locked) {
    for line in &mut order.lines {
        line.counters.canceled = line.ordered - line.counters.shipped;
    }
}
