//! Reports units that are not there. What becomes of them is up to the task `resolve_short`.

use oms_core::{PickLineId, PickListId, derive};
use oms_postgres::{NewTask, tasks};
use oms_proto::fulfillment::v1::FulfillmentOrderShorted;
use oms_proto::fulfillment::v1::fulfillment_event::Event;
use sqlx::PgConnection;

use super::assign_pick_list::{found, locked, save};
use super::{begun, hold_fulfillment_order};
use crate::changes::{self, Axes};
use crate::ctx::{Call, Ctx};
use crate::domain::fulfillment_order::{FulfillmentOrder, LineUnits};
use crate::domain::machine::Named as _;
use crate::domain::picking::PickList;
use crate::domain::short::{RESOLVE_SHORT, Short, ShortReason, ShortState};
use crate::error::Error;
use crate::store;

/// A report.
#[derive(Debug)]
pub(crate) struct ShortReport {
    /// Pick list.
    pub(crate) pick_list_id: PickListId,
    /// Pick line.
    pub(crate) pick_line_id: PickLineId,
    /// Units that are missing.
    pub(crate) quantity: i64,
    /// Why.
    pub(crate) reason: ShortReason,
}

/// Counts missing units and has them resolved.
pub(crate) async fn report_short_pick(
    ctx: &Ctx,
    call: &Call,
    report: &ShortReport,
) -> Result<PickList, Error> {
    ctx.db
        .run_tx("report_short_pick", |tx| {
            Box::pin(async move { run(tx.conn(), ctx, call, report).await })
        })
        .await
}

async fn run(
    conn: &mut PgConnection,
    ctx: &Ctx,
    call: &Call,
    report: &ShortReport,
) -> Result<PickList, Error> {
    if let Some(id) = begun(conn, call, report.pick_list_id.uuid()).await? {
        return found(conn, PickListId::new(id)).await;
    }
    let mut list = locked(conn, report.pick_list_id).await?;
    let line = list
        .lines
        .iter()
        .find(|line| line.id == report.pick_line_id);
    let line = line.ok_or_else(|| Error::reference("pick_line_id", "line of this pick list"))?;
    let units = LineUnits {
        line_id: line.fulfillment_order_line_id,
        quantity: report.quantity,
    };
    let order_id = line.fulfillment_order_id;
    list.report_short(report.pick_line_id, report.quantity, call.actor())?;

    let mut order = hold_fulfillment_order::locked(conn, order_id).await?;
    call.is_about(order.order_id);
    let before = Axes::of(&order);
    order.report_short(units)?;
    note_short(conn, ctx, call, &order, units, report.reason).await?;
    let events = event(&order, units, report.reason).into_iter().collect();
    changes::save(conn, ctx, call.actor(), &mut order, before, events).await?;
    save(conn, ctx, &mut list).await?;
    Ok(list)
}

/// Writes the short and the task that resolves it.
async fn note_short(
    conn: &mut PgConnection,
    ctx: &Ctx,
    call: &Call,
    order: &FulfillmentOrder,
    units: LineUnits,
    reason: ShortReason,
) -> Result<(), Error> {
    let Some(line) = order.line(units.line_id) else {
        return Ok(());
    };
    let short = Short {
        id: ctx.ids.next(),
        fulfillment_order_id: order.id,
        fulfillment_order_line_id: line.id,
        order_id: order.order_id,
        sku: line.item.sku.clone(),
        location_id: order.location_id.clone(),
        quantity: units.quantity,
        reason,
        state: ShortState::Pending,
    };
    let now = ctx.clock.now();
    store::shorts::insert(conn, &short, call.actor(), now).await?;
    let task = NewTask {
        id: derive(short.id, RESOLVE_SHORT),
        kind: RESOLVE_SHORT,
        key: order.id.to_string(),
        payload: short.id.as_bytes().to_vec(),
        run_at: now,
        actor: call.actor().to_owned(),
    };
    tasks::insert(conn, &task).await?;
    Ok(())
}

fn event(order: &FulfillmentOrder, units: LineUnits, reason: ShortReason) -> Option<Event> {
    let line = order.line(units.line_id)?;
    Some(Event::FulfillmentOrderShorted(FulfillmentOrderShorted {
        fulfillment_order_id: order.id.to_string(),
        order_id: order.order_id.to_string(),
        order_line_id: line.order_line_id.to_string(),
        sku: line.item.sku.clone(),
        quantity: units.quantity,
        reason: reason.name().to_owned(),
        reservation_id: line.reservation_id.to_string(),
    }))
}
