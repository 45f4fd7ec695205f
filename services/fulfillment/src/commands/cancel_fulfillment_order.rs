//! Cancels units that no picker has started on.

use oms_core::{FulfillmentOrderId, OrderLineId, Violations};
use oms_proto::fulfillment::v1::fulfillment_event::Event;
use oms_proto::fulfillment::v1::{CanceledUnits, FulfillmentOrderCanceled};
use sqlx::PgConnection;

use super::hold_fulfillment_order::{found, locked};
use super::{record, replayed};
use crate::changes::{self, Axes};
use crate::ctx::{Call, Ctx};
use crate::domain::fulfillment_order::{FulfillmentOrder, LineUnits};
use crate::domain::picking::PickList;
use crate::domain::refusal::check_etag;
use crate::error::Error;
use crate::messages;
use crate::store;
use crate::store::cancellations::Cancellation;

/// What to cancel.
#[derive(Debug)]
pub(crate) struct CancelRequest {
    /// Fulfillment order.
    pub(crate) id: FulfillmentOrderId,
    /// The version that the caller read.
    pub(crate) etag: Option<i64>,
    /// Units per order line; empty for all.
    pub(crate) lines: Vec<(OrderLineId, i64)>,
    /// Why.
    pub(crate) reason: String,
}

/// Cancels what nobody has started on; answers the units that this call canceled. Releasing their
/// stock is the caller's.
pub(crate) async fn cancel_fulfillment_order(
    ctx: &Ctx,
    call: &Call,
    request: &CancelRequest,
) -> Result<(FulfillmentOrder, Vec<LineUnits>), Error> {
    ctx.db
        .run_tx("cancel_fulfillment_order", |tx| {
            Box::pin(async move { run(tx.conn(), ctx, call, request).await })
        })
        .await
}

async fn run(
    conn: &mut PgConnection,
    ctx: &Ctx,
    call: &Call,
    request: &CancelRequest,
) -> Result<(FulfillmentOrder, Vec<LineUnits>), Error> {
    if let Some(id) = replayed(conn, call).await? {
        let cancellation = store::cancellations::get(conn, id).await?;
        let (order, lines) = cancellation.ok_or_else(|| Error::not_found("cancellation", id))?;
        return Ok((found(conn, order).await?, lines));
    }
    let mut lists = store::pick_lists::lock_of_order(conn, request.id).await?;
    let mut order = locked(conn, request.id).await?;
    call.is_about(order.order_id);
    check_etag(request.etag, order.version)?;
    check_lines(&order, &request.lines)?;
    let before = Axes::of(&order);
    let canceled = order.cancel(&request.lines)?;
    if !canceled.is_empty() {
        take_off(conn, ctx, &mut lists, &canceled).await?;
        let event = event(&order, &canceled);
        changes::save(conn, ctx, call.actor(), &mut order, before, vec![event]).await?;
    }
    let cancellation = Cancellation {
        id: ctx.ids.next(),
        fulfillment_order_id: order.id,
        reason: request.reason.clone(),
        canceled_by: call.actor().to_owned(),
        created_at: ctx.clock.now(),
        lines: canceled,
    };
    store::cancellations::insert(conn, &cancellation).await?;
    record(conn, call, cancellation.id).await?;
    Ok((order, cancellation.lines))
}

fn check_lines(order: &FulfillmentOrder, wanted: &[(OrderLineId, i64)]) -> Result<(), Violations> {
    let mut violations = Violations::default();
    for (index, (id, _)) in wanted.iter().enumerate() {
        let is_known = order.lines.iter().any(|line| line.order_line_id == *id);
        let field = format!("lines[{index}].order_line_id");
        violations.check(
            is_known,
            field,
            "REFERENCE_UNKNOWN",
            "no line of this fulfillment order",
        );
    }
    violations.into_result()
}

/// Takes canceled units off the pick lists.
async fn take_off(
    conn: &mut PgConnection,
    ctx: &Ctx,
    lists: &mut [PickList],
    canceled: &[LineUnits],
) -> Result<(), Error> {
    let is_on = |list: &PickList, unit: &LineUnits| {
        list.lines
            .iter()
            .any(|line| line.fulfillment_order_line_id == unit.line_id)
    };
    for list in lists {
        let units: Vec<&LineUnits> = canceled.iter().filter(|unit| is_on(list, unit)).collect();
        if units.is_empty() {
            continue;
        }
        for unit in units {
            list.cancel_units(unit.line_id, unit.quantity);
        }
        list.version += 1;
        store::pick_lists::save(conn, list, ctx.clock.now()).await?;
    }
    Ok(())
}

fn event(order: &FulfillmentOrder, canceled: &[LineUnits]) -> Event {
    let units = messages::by_order_line(order, canceled).into_iter();
    Event::FulfillmentOrderCanceled(FulfillmentOrderCanceled {
        fulfillment_order_id: order.id.to_string(),
        order_id: order.order_id.to_string(),
        lines: units
            .map(|(id, quantity)| CanceledUnits {
                order_line_id: id.to_string(),
                quantity,
            })
            .collect(),
        state: messages::state(order.state).into(),
    })
}
