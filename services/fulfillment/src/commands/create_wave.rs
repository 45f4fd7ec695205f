//! Releases work to the floor of a location and makes its pick lists.

use oms_core::{FulfillmentOrderId, LocationId, PickLineId, PickListId, Violations, WaveId};
use oms_postgres::idempotency;
use sqlx::PgConnection;
use uuid::Uuid;

use super::record;
use crate::changes::{self, Axes};
use crate::ctx::{Call, Ctx};
use crate::domain::fulfillment_order::FulfillmentOrder;
use crate::domain::picking::{self, PickLine, PickList, PickListState, PickMethod, Wave};
use crate::error::Error;
use crate::store;

/// What to release.
#[derive(Debug)]
pub(crate) struct WaveRequest {
    /// Location.
    pub(crate) location_id: LocationId,
    /// Fulfillment orders to release; empty takes the next ones.
    pub(crate) fulfillment_order_ids: Vec<FulfillmentOrderId>,
    /// Most fulfillment orders to take when none is named.
    pub(crate) orders_max: i64,
    /// How to group them.
    pub(crate) method: PickMethod,
}

/// Makes a wave; `None` when there is nothing to release.
pub(crate) async fn create_wave(
    ctx: &Ctx,
    call: &Call,
    request: &WaveRequest,
) -> Result<Option<Wave>, Error> {
    ctx.db
        .run_tx("create_wave", |tx| {
            Box::pin(async move { run(tx.conn(), ctx, call, request).await })
        })
        .await
}

async fn run(
    conn: &mut PgConnection,
    ctx: &Ctx,
    call: &Call,
    request: &WaveRequest,
) -> Result<Option<Wave>, Error> {
    if let Some(id) = idempotency::check(conn, &call.key).await? {
        // A wave that had nothing to release was recorded without an id.
        let Ok(id) = id.parse() else { return Ok(None) };
        return Ok(store::waves::get(conn, WaveId::new(id)).await?);
    }
    let mut orders = take(conn, request).await?;
    if orders.is_empty() {
        idempotency::record(conn, &call.key, "").await?;
        return Ok(None);
    }
    let mut wave = Wave {
        id: WaveId::generate(ctx.ids.as_ref()),
        location_id: request.location_id.clone(),
        method: request.method,
        released_by: call.actor().to_owned(),
        created_at: ctx.clock.now(),
        pick_list_ids: Vec::new(),
        fulfillment_order_ids: orders.iter().map(|order| order.id).collect(),
    };
    for order in &mut orders {
        let before = Axes::of(order);
        order.release_to_floor()?;
        changes::save(conn, ctx, call.actor(), order, before, Vec::new()).await?;
    }
    let lists = pick_lists(ctx, &wave, &orders);
    store::waves::insert(conn, &wave).await?;
    store::pick_lists::insert_all(conn, &lists).await?;
    record(conn, call, wave.id.uuid()).await?;
    wave.pick_list_ids = lists.iter().map(|list| list.id).collect();
    wave.fulfillment_order_ids.sort();
    Ok(Some(wave))
}

/// Locks the fulfillment orders of the wave.
async fn take(
    conn: &mut PgConnection,
    request: &WaveRequest,
) -> Result<Vec<FulfillmentOrder>, Error> {
    if request.fulfillment_order_ids.is_empty() {
        let (location, limit) = (&request.location_id, request.orders_max);
        return Ok(store::fulfillment_orders::lock_waiting(conn, location, limit).await?);
    }
    let ids: Vec<Uuid> = request
        .fulfillment_order_ids
        .iter()
        .map(|id| id.uuid())
        .collect();
    let orders = store::fulfillment_orders::lock_many(conn, &ids).await?;
    let mut violations = Violations::default();
    for (index, id) in request.fulfillment_order_ids.iter().enumerate() {
        let is_here = orders
            .iter()
            .any(|order| order.id == *id && order.location_id == request.location_id);
        let field = format!("fulfillment_order_ids[{index}]");
        violations.check(
            is_here,
            field,
            "REFERENCE_UNKNOWN",
            "no fulfillment order of this location",
        );
    }
    violations.into_result()?;
    Ok(orders)
}

fn pick_lists(ctx: &Ctx, wave: &Wave, orders: &[FulfillmentOrder]) -> Vec<PickList> {
    let ids = ctx.ids.as_ref();
    let plans = picking::plan_lists(wave.method, orders).into_iter();
    let lists = plans.map(|lines| PickList {
        id: PickListId::generate(ids),
        wave_id: wave.id,
        location_id: wave.location_id.clone(),
        state: PickListState::Created,
        assignee: String::new(),
        version: 1,
        created_at: wave.created_at,
        lines: lines
            .into_iter()
            .map(|(order, line)| PickLine {
                id: PickLineId::generate(ids),
                fulfillment_order_id: order.id,
                fulfillment_order_line_id: line.id,
                item: line.item.clone(),
                quantity: line.to_pick(),
                picked: 0,
                short: 0,
                canceled: 0,
                picked_by: String::new(),
            })
            .collect(),
    });
    lists.collect()
}
