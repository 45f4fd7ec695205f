//! Decides about units that no location has: they wait for stock, or are canceled, by the fill policy.

use oms_core::{CancellationId, OrderId, OrderLineId, derive};
use oms_postgres::{NewTask, tasks};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use super::settle_order::{refund_canceled, settle_order};
use super::task_payload::encode;
use crate::changes::{self, Change, Event, Locked};
use crate::ctx::Ctx;
use crate::domain::cancellation::{Cancellation, CancellationLine};
use crate::domain::order::{FillPolicy, OrderLine};
use crate::error::Error;
use crate::store::{cancellations, sagas};

/// Task that queues missing units at inventory.
pub(crate) const BACKORDER_SHORT_TASK: &str = "backorder_short";

/// Units that no location has. Payload of [`BACKORDER_SHORT_TASK`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Short {
    /// The event that told of it.
    pub(crate) event_id: Uuid,
    /// Order line.
    pub(crate) order_line_id: OrderLineId,
    /// Units.
    pub(crate) quantity: i64,
}

/// Has missing units wait for stock when the customer takes backorders, else cancels them at once.
pub(crate) async fn record_short(
    conn: &mut PgConnection,
    ctx: &Ctx,
    order: &mut Locked,
    short: &Short,
    actor: &str,
) -> Result<(), Error> {
    let quantity = open(order, short);
    if quantity <= 0 {
        return Ok(());
    }
    if order.fill_policy == FillPolicy::FillAll {
        let payload = Short {
            quantity,
            ..short.clone()
        };
        let task = NewTask {
            id: derive(short.event_id, BACKORDER_SHORT_TASK),
            kind: BACKORDER_SHORT_TASK,
            key: order.order_id.to_string(),
            payload: encode(&payload),
            run_at: ctx.now(),
            actor: actor.to_owned(),
        };
        tasks::insert(conn, &task).await?;
        return Ok(());
    }
    cancel_units(conn, ctx, order, short, quantity, actor).await
}

/// Cancels missing units that may not wait for stock, as many as are still open.
pub(crate) async fn cancel_short(
    conn: &mut PgConnection,
    ctx: &Ctx,
    order_id: OrderId,
    short: &Short,
    actor: &str,
) -> Result<(), Error> {
    let mut order = changes::lock(conn, order_id).await?;
    let quantity = open(&order, short);
    if quantity <= 0 {
        return Ok(());
    }
    cancel_units(conn, ctx, &mut order, short, quantity, actor).await
}

/// How many of the missing units are still open.
fn open(order: &Locked, short: &Short) -> i64 {
    let open = order.line(short.order_line_id).map_or(0, OrderLine::open);
    short.quantity.min(open)
}

async fn cancel_units(
    conn: &mut PgConnection,
    ctx: &Ctx,
    order: &mut Locked,
    short: &Short,
    quantity: i64,
    actor: &str,
) -> Result<(), Error> {
    let cancellation_id = CancellationId::new(derive(short.event_id, "cancellation"));
    let units = [(short.order_line_id, quantity)];
    super::record_progress::count(order, &units, |counters, quantity| {
        counters.canceled += quantity;
    });
    let cancellation = Cancellation {
        cancellation_id,
        state: "COMPLETED".to_owned(),
        lines: vec![CancellationLine {
            order_line_id: short.order_line_id,
            quantity,
            canceled: quantity,
        }],
        reason: "OUT_OF_STOCK".to_owned(),
        note: "not found when it was picked".to_owned(),
        actor: actor.to_owned(),
        legs: Vec::new(),
        created_at: ctx.now(),
    };
    cancellations::insert(conn, order.order_id, &cancellation).await?;
    order.cancellations.push(cancellation.clone());
    let change = Change {
        actor,
        action: "cancel_lines",
        detail: format!("{quantity} units were not found and no location has them"),
        event: Event::LinesCanceled(cancellation),
    };
    order.write(conn, ctx, &change).await?;
    refund_canceled(conn, ctx, order, cancellation_id, &units, actor).await?;
    // What waited for these units may go now.
    sagas::signal(conn, order.order_id, ctx.now()).await?;
    settle_order(conn, ctx, order).await
}
