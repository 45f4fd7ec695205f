//! Task: reports missing units to inventory, sources them again, and says what became of them.
//!
//! Every id is derived from the short, so each step may run any number of times: the proposal is
//! stored before anything is taken, the same reservation answers again, and the last transaction
//! writes the outcome once.

use std::sync::Arc;

use oms_core::{ProposalId, ReservationId, derive};
use oms_postgres::{Outcome, Task, TaskError};
use oms_proto::common::v1::ErrorReason;
use oms_proto::fulfillment::v1::fulfillment_event::Event;
use oms_proto::fulfillment::v1::{ShortResolution, ShortResolved};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::changes::{self, Axes};
use crate::clients::inventory::{ReserveCall, ShortCall};
use crate::commands::propose_sourcing::decide;
use crate::commands::{create_fulfillment_orders, hold_fulfillment_order};
use crate::ctx::Ctx;
use crate::domain::creation::{self, Allocation, OrderFacts};
use crate::domain::fulfillment_order::{FulfillmentOrder, Line};
use crate::domain::machine::Named as _;
use crate::domain::short::{Cover, Short, ShortState};
use crate::domain::sourcing::{Demand, DemandLine, Proposal};
use crate::error::Error;
use crate::store;

/// A short with the work it belongs to.
struct Case {
    short: Short,
    order: FulfillmentOrder,
    line: Line,
}

/// Resolves the short of the task.
pub(crate) async fn resolve_short(ctx: Arc<Ctx>, task: Task) -> Result<Outcome, TaskError> {
    let Some(case) = load(&ctx, &task).await? else {
        return Ok(Outcome::Done);
    };
    oms_telemetry::record_order_id(&tracing::Span::current(), case.short.order_id);
    ctx.inventory.report_short(&short_call(&case)).await?;
    let proposal = propose(&ctx, &task, &case).await?;
    let covers = reserve(&ctx, &case, &proposal).await?;
    let (ctx, task, case, proposal, covers) = (&*ctx, &task, &case, &proposal, &covers);
    ctx.db
        .run_tx("resolve_short", |tx| {
            Box::pin(async move { settle(tx.conn(), ctx, task, case, proposal, covers).await })
        })
        .await
        .map_err(internal)?;
    Ok(Outcome::AlreadyFinished)
}

/// The case; `None` when it was resolved before.
async fn load(ctx: &Ctx, task: &Task) -> Result<Option<Case>, TaskError> {
    let id = Uuid::from_slice(&task.payload)
        .map_err(|_| TaskError::Stuck("the payload is no id".to_owned()))?;
    let mut conn = ctx.db.snapshot().await?;
    let missing = || TaskError::Stuck(format!("short {id} is not there"));
    let short = store::shorts::get(&mut conn, id)
        .await?
        .ok_or_else(missing)?;
    if short.state == ShortState::Resolved {
        return Ok(None);
    }
    let order = store::fulfillment_orders::get(&mut conn, short.fulfillment_order_id).await?;
    let order = order.ok_or_else(missing)?;
    let line = order
        .line(short.fulfillment_order_line_id)
        .cloned()
        .ok_or_else(missing)?;
    Ok(Some(Case { short, order, line }))
}

fn short_call(case: &Case) -> ShortCall<'_> {
    ShortCall {
        request_id: derive(case.short.id, "report"),
        reservation_id: case.line.reservation_id,
        order_line_id: case.line.order_line_id,
        location_id: &case.short.location_id,
        lot: &case.line.lot,
        quantity: case.short.quantity,
        reason: case.short.reason.name(),
    }
}

/// Stores a proposal without the locations that failed this order, or reads the one that an
/// earlier attempt stored.
async fn propose(ctx: &Ctx, task: &Task, case: &Case) -> Result<Proposal, TaskError> {
    let id = ProposalId::new(derive(case.short.id, "proposal"));
    let (known, excluded) = {
        let mut conn = ctx.db.snapshot().await?;
        let known = store::proposals::get(&mut conn, id).await?;
        let (order_id, sku) = (case.short.order_id, &case.short.sku);
        (
            known,
            store::shorts::failed_locations(&mut conn, order_id, sku).await?,
        )
    };
    if let Some(proposal) = known {
        return Ok(proposal);
    }
    let demand = Demand {
        order_id: case.short.order_id,
        country_code: case.order.destination.country_code.clone(),
        postal_code: case.order.destination.postal_code.clone(),
        lines: vec![DemandLine {
            order_line_id: case.line.order_line_id,
            sku: case.short.sku.clone(),
            quantity: case.short.quantity,
        }],
        fill_policy: case.order.fill_policy,
        service_level: case.order.service_level,
        splits_max: None,
        excluded_location_ids: excluded,
    };
    let nodes = ctx.inventory.locations(ctx.clock.as_ref()).await?;
    let proposal = &decide(ctx, id, &demand, &nodes, &task.actor);
    ctx.db
        .run_tx("propose_resolution", |tx| {
            Box::pin(async move { store::proposals::insert(tx.conn(), proposal).await })
        })
        .await?;
    Ok(proposal.clone())
}

/// Takes what the ranked nodes have. Whatever the order's policy was, a customer who has a
/// confirmed order gets as much as there is; the order decides about the rest.
async fn reserve(ctx: &Ctx, case: &Case, proposal: &Proposal) -> Result<Vec<Cover>, TaskError> {
    if proposal.ranked().next().is_none() {
        return Ok(Vec::new());
    }
    let call = ReserveCall {
        request_id: derive(case.short.id, "reserve"),
        reservation_id: resource_id(&case.short),
        order_id: case.short.order_id,
        order_line_id: case.line.order_line_id,
        sku: &case.short.sku,
        quantity: case.short.quantity,
        proposal,
    };
    match ctx.inventory.reserve(&call).await {
        Ok(covers) => Ok(covers),
        Err(error) if error.reason() == Some(ErrorReason::OutOfStock) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// The reservation that replaces the missing units.
fn resource_id(short: &Short) -> ReservationId {
    ReservationId::new(derive(short.id, "resource"))
}

async fn settle(
    conn: &mut PgConnection,
    ctx: &Ctx,
    task: &Task,
    case: &Case,
    proposal: &Proposal,
    covers: &[Cover],
) -> Result<(), Error> {
    let mut order = hold_fulfillment_order::locked(conn, case.order.id).await?;
    oms_telemetry::record_order_id(&tracing::Span::current(), order.order_id);
    let (covered, missing) = case.short.split(covers);
    let now = ctx.clock.now();
    if store::shorts::resolve(conn, case.short.id, covered, missing, now).await? {
        if covered > 0 {
            let facts = OrderFacts::of(&case.order);
            let parts = covers.iter().map(|cover| allocation(case, cover)).collect();
            let mut orders = creation::create(&facts, case.short.id, parts, &task.actor, now);
            create_fulfillment_orders::insert(conn, ctx, &task.actor, &mut orders).await?;
            store::proposals::append_outcomes(conn, proposal.id, &orders, now).await?;
        }
        let before = Axes::of(&order);
        let events = resolutions(case, covered, missing);
        changes::save(conn, ctx, &task.actor, &mut order, before, events).await?;
    }
    Ok(task.finish(conn).await?)
}

fn allocation(case: &Case, cover: &Cover) -> Allocation {
    Allocation {
        order_line_id: case.line.order_line_id,
        location_id: cover.location_id.clone(),
        lot: cover.lot.clone(),
        quantity: cover.quantity,
        reservation_id: resource_id(&case.short),
        item: case.line.item.clone(),
    }
}

/// What became of the units, as events of the fulfillment order that was short.
fn resolutions(case: &Case, covered: i64, missing: i64) -> Vec<Event> {
    let parts = [
        (
            ShortResolution::Resourced,
            covered,
            resource_id(&case.short).to_string(),
        ),
        (ShortResolution::Unfillable, missing, String::new()),
    ];
    let parts = parts.into_iter().filter(|(_, quantity, _)| *quantity > 0);
    parts
        .map(|(resolution, quantity, reservation_id)| {
            Event::ShortResolved(ShortResolved {
                fulfillment_order_id: case.order.id.to_string(),
                order_id: case.short.order_id.to_string(),
                order_line_id: case.line.order_line_id.to_string(),
                sku: case.short.sku.clone(),
                quantity,
                resolution: resolution.into(),
                reservation_id,
            })
        })
        .collect()
}

fn internal(error: Error) -> TaskError {
    match error {
        Error::Database(error) => error.into(),
        error => TaskError::Stuck(error.to_string()),
    }
}
