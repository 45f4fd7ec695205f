//! Records scanned units of a pick line.

use oms_core::{PickLineId, PickListId};
use oms_proto::fulfillment::v1::FulfillmentOrderPicked;
use oms_proto::fulfillment::v1::fulfillment_event::Event;
use sqlx::PgConnection;

use super::assign_pick_list::{found, locked, save};
use super::{begun, hold_fulfillment_order};
use crate::changes::{self, Axes};
use crate::ctx::{Call, Ctx};
use crate::domain::fulfillment_order::{FulfillmentOrder, LineUnits};
use crate::domain::picking::PickList;
use crate::error::Error;
use crate::messages;

/// A scan.
#[derive(Debug)]
pub(crate) struct PickScan {
    /// Pick list.
    pub(crate) pick_list_id: PickListId,
    /// Pick line; `None` takes the first open line that the barcode fits.
    pub(crate) pick_line_id: Option<PickLineId>,
    /// Scanned barcode.
    pub(crate) barcode: String,
    /// Units scanned.
    pub(crate) quantity: i64,
}

/// Counts scanned units, on the pick list and in the fulfillment order.
pub(crate) async fn scan_pick(ctx: &Ctx, call: &Call, scan: &PickScan) -> Result<PickList, Error> {
    ctx.db
        .run_tx("scan_pick", |tx| {
            Box::pin(async move { run(tx.conn(), ctx, call, scan).await })
        })
        .await
}

async fn run(
    conn: &mut PgConnection,
    ctx: &Ctx,
    call: &Call,
    scan: &PickScan,
) -> Result<PickList, Error> {
    if let Some(id) = begun(conn, call, scan.pick_list_id.uuid()).await? {
        return found(conn, PickListId::new(id)).await;
    }
    let mut list = locked(conn, scan.pick_list_id).await?;
    let line = list.line_for_scan(scan.pick_line_id, &scan.barcode)?;
    let line = line.ok_or_else(|| Error::reference("pick_line_id", "line of this pick list"))?;
    let (line_id, order_id) = (line.id, line.fulfillment_order_id);
    let units = LineUnits {
        line_id: line.fulfillment_order_line_id,
        quantity: scan.quantity,
    };
    list.scan(line_id, scan.quantity, call.actor())?;

    let mut order = hold_fulfillment_order::locked(conn, order_id).await?;
    call.is_about(order.order_id);
    let before = Axes::of(&order);
    order.pick(units)?;
    let event = event(&order, units);
    changes::save(conn, ctx, call.actor(), &mut order, before, vec![event]).await?;
    save(conn, ctx, &mut list).await?;
    Ok(list)
}

fn event(order: &FulfillmentOrder, units: LineUnits) -> Event {
    Event::FulfillmentOrderPicked(FulfillmentOrderPicked {
        fulfillment_order_id: order.id.to_string(),
        order_id: order.order_id.to_string(),
        lines: messages::line_progress(order, &[units]),
    })
}
