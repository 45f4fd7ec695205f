//! Returns: what was asked to come back, what came, and what is to be paid back.

use std::sync::Arc;

use oms_core::{OrderId, OrderLineId};
use oms_proto::events::v1::Event;
use oms_proto::returns::v1 as pb;
use oms_proto::returns::v1::returns_event::Event as Returns;
use oms_service::ApplyError;
use prost::Message;
use sqlx::PgConnection;

use super::{Work, apply_error, units};
use crate::commands::record_progress::{Progress, record_progress};
use crate::commands::trigger_refund::{RefundReturn, trigger_refund};

/// Events that are asked for.
pub(super) const TYPES: &[&str] = &[
    "ReturnStateChanged",
    "ReturnReceived",
    "ReturnRefundTriggered",
];

/// Applies an event, once.
pub(super) async fn on_event(
    work: &mut Work,
    conn: &mut PgConnection,
    event: &Event,
) -> Result<(), ApplyError> {
    let Some(message) = pb::ReturnsEvent::decode(&*event.payload)?.event else {
        return Ok(());
    };
    let Ok(order_id) = order_in(&message).parse() else {
        return Ok(());
    };
    if !work.counts(order_id, event) {
        return Ok(());
    }
    let ctx = Arc::clone(&work.ctx);
    let Some(order) = work.order(conn, order_id).await? else {
        return Ok(());
    };
    let what = format!("return {}", event.aggregate_id);
    let by = (event.actor.as_str(), what.as_str());
    let applied = match &message {
        Returns::ReturnStateChanged(changed) => {
            let progress = match changed.action.as_str() {
                "request" => Progress::ReturnRequested,
                "decline" | "cancel" => Progress::ReturnGivenUp,
                _ => return Ok(()),
            };
            let units = advised(changed)?;
            record_progress(conn, &ctx, order, progress, &units, by).await
        }
        Returns::ReturnReceived(received) => {
            let units = returned(&received.lines)?;
            record_progress(conn, &ctx, order, Progress::Returned, &units, by).await
        }
        Returns::ReturnRefundTriggered(triggered) => {
            let refund = RefundReturn {
                return_id: triggered.return_id.clone(),
                refund_id: triggered.refund_id.clone(),
            };
            let units = returned(&triggered.lines)?;
            trigger_refund(conn, &ctx, order, &refund, &units, &event.actor).await
        }
        Returns::ReturnInspected(_) | Returns::ReturnDisposed(_) => return Ok(()),
    };
    applied.map_err(apply_error)
}

/// The order that an event is about.
pub(super) fn order_of(event: &Event) -> Option<OrderId> {
    let message = pb::ReturnsEvent::decode(&*event.payload).ok()?.event?;
    order_in(&message).parse().ok()
}

fn order_in(message: &Returns) -> &str {
    match message {
        Returns::ReturnStateChanged(changed) => changed
            .return_order
            .as_ref()
            .map_or("", |one| one.order_id.as_str()),
        Returns::ReturnReceived(received) => &received.order_id,
        Returns::ReturnRefundTriggered(triggered) => &triggered.order_id,
        Returns::ReturnInspected(_) | Returns::ReturnDisposed(_) => "",
    }
}

fn advised(changed: &pb::ReturnStateChanged) -> Result<Vec<(OrderLineId, i64)>, ApplyError> {
    let lines = changed.return_order.iter().flat_map(|one| &one.lines);
    lines
        .filter(|line| line.advised > 0)
        .map(|line| units(&line.order_line_id, line.advised))
        .collect()
}

fn returned(lines: &[pb::ReturnedUnits]) -> Result<Vec<(OrderLineId, i64)>, ApplyError> {
    lines
        .iter()
        .map(|line| units(&line.order_line_id, line.quantity))
        .collect()
}
