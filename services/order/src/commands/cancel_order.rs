//! Asks to cancel units, or the whole order. What becomes of it is decided by a task, since others may refuse.

use oms_core::{CancellationId, OrderId, OrderLineId, Violations, derive};
use oms_postgres::{NewTask, idempotency, tasks};
use sqlx::PgConnection;

use crate::changes::{self, Change, Event, Locked};
use crate::ctx::{Caller, Ctx};
use crate::domain::cancellation::{Cancellation, CancellationLeg, CancellationLine};
use crate::domain::order::{Order, OrderLine};
use crate::domain::state::{OrderAction, OrderState};
use crate::error::{Error, check_etag, transition};
use crate::store::{StoreError, cancellations, orders, sagas};

const METHOD: &str = "CancelOrder";
/// Task that runs a cancellation; the key is the order's id, the payload the cancellation's.
pub(crate) const RUN_CANCELLATION_TASK: &str = "run_cancellation";
/// Reason codes that callers may give.
const REASONS: [&str; 5] = ["CUSTOMER", "OUT_OF_STOCK", "FRAUD", "PRICING", "OTHER"];

/// A request to cancel units.
#[derive(Debug)]
pub(crate) struct CancelOrder {
    /// Order.
    pub(crate) order_id: OrderId,
    /// Version of the order that the caller read.
    pub(crate) etag: Option<i64>,
    /// Units by line, each `None` where the id cannot be read; empty for the whole order.
    pub(crate) lines: Vec<(Option<OrderLineId>, i64)>,
    /// Reason code.
    pub(crate) reason: String,
    /// Note for people.
    pub(crate) note: String,
}

/// Checks what can be told without the order.
pub(crate) fn check(command: &CancelOrder, violations: &mut Violations) {
    violations.check(
        REASONS.contains(&command.reason.as_str()),
        "reason",
        if command.reason.is_empty() {
            "FIELD_REQUIRED"
        } else {
            "FIELD_MALFORMED"
        },
        format!("must be one of {}", REASONS.join(", ")),
    );
    for (index, (id, quantity)) in command.lines.iter().enumerate() {
        let again = id.is_some()
            && command
                .lines
                .iter()
                .take(index)
                .any(|(before, _)| before == id);
        let field = |name: &str| format!("lines[{index}].{name}");
        violations.check(
            !again,
            field("order_line_id"),
            "DUPLICATE",
            "stands there twice",
        );
        violations.check(
            *quantity > 0,
            field("quantity"),
            "QUANTITY_INVALID",
            "must be at least 1",
        );
    }
}

/// Writes the cancellation and has it run. Answers the order and the cancellation's id.
pub(crate) async fn cancel_order(
    ctx: &Ctx,
    caller: &Caller,
    command: &CancelOrder,
    violations: Violations,
) -> Result<(Order, CancellationId), Error> {
    let violations = &violations;
    let canceled = ctx
        .db
        .run_tx("cancel_order", |tx| {
            Box::pin(async move { cancel(ctx, tx.conn(), caller, command, violations).await })
        })
        .await?;
    ctx.wake_sagas();
    Ok(canceled)
}

async fn cancel(
    ctx: &Ctx,
    conn: &mut PgConnection,
    caller: &Caller,
    command: &CancelOrder,
    violations: &Violations,
) -> Result<(Order, CancellationId), Error> {
    let key = caller.key(METHOD);
    if let Some(id) = idempotency::check(conn, &key).await? {
        return replay(conn, command.order_id, &id).await;
    }
    let mut order = changes::lock(conn, command.order_id).await?;
    let lines = wanted(&order, command, violations.clone())?;
    check_etag(command.etag, order.version)?;
    transition(&order, OrderAction::RequestCancellation)?;
    let whole = is_whole(&order, &lines);
    let cancellation = Cancellation {
        cancellation_id: CancellationId::new(ctx.id()),
        state: "REQUESTED".to_owned(),
        lines,
        reason: command.reason.clone(),
        note: command.note.clone(),
        actor: caller.actor(),
        legs: ["fulfillment", "reservation", "payment"]
            .map(pending)
            .into(),
        created_at: ctx.now(),
    };
    let cancellation_id = cancellation.cancellation_id;
    cancellations::insert(conn, order.order_id, &cancellation).await?;
    write(conn, ctx, &mut order, &cancellation).await?;
    if whole && order.state == OrderState::Pending {
        sagas::request_cancel(conn, order.order_id, ctx.now()).await?;
    }
    insert_task(conn, ctx, &order, &cancellation).await?;
    idempotency::record(conn, &key, &cancellation_id.to_string()).await?;
    Ok((order.into_order(), cancellation_id))
}

fn pending(name: &str) -> CancellationLeg {
    CancellationLeg {
        name: name.to_owned(),
        state: "PENDING".to_owned(),
        detail: String::new(),
    }
}

async fn replay(
    conn: &mut PgConnection,
    order_id: OrderId,
    cancellation_id: &str,
) -> Result<(Order, CancellationId), Error> {
    let order = orders::load(conn, order_id)
        .await?
        .ok_or_else(|| Error::order_not_found(order_id))?;
    let parsed = cancellation_id.parse().ok();
    let unknown = || StoreError::inconsistent("idempotency", "resource_id", cancellation_id);
    Ok((order, parsed.ok_or_else(unknown)?))
}

/// The units to cancel; those of every open one for the whole order. More than are open is an error of its
/// own when nothing else is wrong, because it depends on the order as it is now.
fn wanted(
    order: &Order,
    command: &CancelOrder,
    mut violations: Violations,
) -> Result<Vec<CancellationLine>, Error> {
    if command.lines.is_empty() {
        violations.into_result()?;
        return every_open(order);
    }
    let mut exceeded = None;
    let mut exceeding = Violations::default();
    let mut lines = Vec::new();
    for (index, (id, quantity)) in command.lines.iter().enumerate() {
        // An id that cannot be read is among the violations already.
        let Some(id) = id else { continue };
        let Some(line) = order.line(*id) else {
            violations.push(
                format!("lines[{index}].order_line_id"),
                "REFERENCE_UNKNOWN",
                "the order has no such line",
            );
            continue;
        };
        if *quantity > line.open() {
            let open = line.open();
            exceeding.push(
                format!("lines[{index}].quantity"),
                "QUANTITY_EXCEEDS_OPEN",
                format!("{quantity} units are more than the {open} that are open"),
            );
            exceeded.get_or_insert((open, *quantity));
            continue;
        }
        lines.push(new_line(line, *quantity));
    }
    if !violations.is_empty() {
        for one in &exceeding {
            violations.push(one.field.clone(), one.reason, one.message.clone());
        }
        return Err(violations.into());
    }
    match exceeded {
        Some((open, requested)) => Err(Error::QuantityExceedsOpen { open, requested }),
        None => Ok(lines),
    }
}

fn every_open(order: &Order) -> Result<Vec<CancellationLine>, Error> {
    // An order in a final state says so, whatever is open.
    transition(order, OrderAction::RequestCancellation)?;
    let open = order.lines.iter().filter(|line| line.open() > 0);
    let lines: Vec<CancellationLine> = open.map(|line| new_line(line, line.open())).collect();
    if lines.is_empty() {
        return Err(Error::QuantityExceedsOpen {
            open: 0,
            requested: 1,
        });
    }
    Ok(lines)
}

fn new_line(line: &OrderLine, quantity: i64) -> CancellationLine {
    CancellationLine {
        order_line_id: line.order_line_id,
        quantity,
        canceled: 0,
    }
}

fn is_whole(order: &Order, lines: &[CancellationLine]) -> bool {
    let asked: i64 = lines.iter().map(|line| line.quantity).sum();
    asked == order.lines.iter().map(OrderLine::live).sum::<i64>()
}

async fn write(
    conn: &mut PgConnection,
    ctx: &Ctx,
    order: &mut Locked,
    cancellation: &Cancellation,
) -> Result<(), Error> {
    order.cancellations.push(cancellation.clone());
    let units: i64 = cancellation.lines.iter().map(|line| line.quantity).sum();
    let change = Change {
        actor: &cancellation.actor,
        action: "cancel_order",
        detail: format!("{units} units, {}", cancellation.reason),
        // Nothing is canceled yet: the order tells of the request.
        event: Event::Updated,
    };
    Ok(order.write(conn, ctx, &change).await?)
}

async fn insert_task(
    conn: &mut PgConnection,
    ctx: &Ctx,
    order: &Order,
    cancellation: &Cancellation,
) -> Result<(), Error> {
    let id = cancellation.cancellation_id;
    let task = NewTask {
        id: derive(id.uuid(), RUN_CANCELLATION_TASK),
        kind: RUN_CANCELLATION_TASK,
        key: order.order_id.to_string(),
        payload: id.to_string().into_bytes(),
        run_at: ctx.now(),
        actor: cancellation.actor.clone(),
    };
    tasks::insert(conn, &task).await?;
    Ok(())
}
