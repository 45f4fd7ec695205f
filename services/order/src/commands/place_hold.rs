//! Places a hold on an order or one of its lines.

use oms_core::{HoldId, OrderId, OrderLineId, Violations, derive};
use oms_postgres::{NewTask, idempotency, tasks};
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::changes::{self, Change, Event};
use crate::ctx::{Caller, Ctx};
use crate::domain::order::{Hold, HoldBlock, Order};
use crate::domain::state::OrderAction;
use crate::error::{Error, check_etag, transition};
use crate::store::{StoreError, holds, sagas};

const METHOD: &str = "PlaceHold";
/// Task that ends a hold at its time.
pub(crate) const RELEASE_HOLD_TASK: &str = "release_hold";

/// A request to place a hold.
#[derive(Debug)]
pub(crate) struct PlaceHold {
    /// Order.
    pub(crate) order_id: OrderId,
    /// Version of the order that the caller read.
    pub(crate) etag: Option<i64>,
    /// Line; `None` holds the whole order.
    pub(crate) order_line_id: Option<OrderLineId>,
    /// Name of the reason.
    pub(crate) reason: String,
    /// What it stops; at least one.
    pub(crate) blocks: Vec<HoldBlock>,
    /// Note for people.
    pub(crate) note: String,
    /// When it ends by itself.
    pub(crate) release_at: Option<OffsetDateTime>,
}

/// Places a hold. A saga that waits or runs takes notice.
pub(crate) async fn place_hold(
    ctx: &Ctx,
    caller: &Caller,
    command: &PlaceHold,
) -> Result<(OrderId, Hold), Error> {
    ctx.db
        .run_tx("place_hold", |tx| {
            Box::pin(async move { place(ctx, tx.conn(), caller, command).await })
        })
        .await
}

async fn place(
    ctx: &Ctx,
    conn: &mut PgConnection,
    caller: &Caller,
    command: &PlaceHold,
) -> Result<(OrderId, Hold), Error> {
    let key = caller.key(METHOD);
    if let Some(id) = idempotency::check(conn, &key).await? {
        return find(conn, &id).await;
    }
    let mut order = changes::lock(conn, command.order_id).await?;
    check_etag(command.etag, order.version)?;
    transition(&order, OrderAction::PlaceHold)?;
    check(ctx, &order, command)?;
    let hold = new_hold(ctx, caller, command);
    idempotency::record(conn, &key, &hold.hold_id.to_string()).await?;
    holds::insert(conn, order.order_id, &hold).await?;
    order.holds.push(hold.clone());
    let change = Change {
        actor: &hold.placed_by,
        action: "place_hold",
        detail: describe(&hold),
        event: Event::HoldPlaced(hold.clone()),
    };
    order.write(conn, ctx, &change).await?;
    sagas::signal(conn, order.order_id, ctx.now()).await?;
    if let Some(release_at) = hold.release_at {
        let task = NewTask {
            id: derive(hold.hold_id.uuid(), RELEASE_HOLD_TASK),
            kind: RELEASE_HOLD_TASK,
            key: hold.hold_id.to_string(),
            payload: Vec::new(),
            run_at: release_at,
            actor: caller.actor(),
        };
        tasks::insert(conn, &task).await?;
    }
    Ok((order.order_id, hold))
}

/// What only the order can tell about the request.
fn check(ctx: &Ctx, order: &Order, command: &PlaceHold) -> Result<(), Error> {
    let mut violations = Violations::default();
    violations.check(
        command
            .order_line_id
            .is_none_or(|id| order.line(id).is_some()),
        "order_line_id",
        "REFERENCE_UNKNOWN",
        "the order has no such line",
    );
    violations.check(
        command.release_at.is_none_or(|time| time > ctx.now()),
        "release_at",
        "FIELD_OUT_OF_RANGE",
        "must be in the future",
    );
    Ok(violations.into_result()?)
}

fn new_hold(ctx: &Ctx, caller: &Caller, command: &PlaceHold) -> Hold {
    Hold {
        hold_id: HoldId::new(ctx.id()),
        order_line_id: command.order_line_id,
        reason: command.reason.clone(),
        blocks: command.blocks.clone(),
        active: true,
        note: command.note.clone(),
        placed_by: caller.actor(),
        created_at: ctx.now(),
        release_at: command.release_at,
        released_by: String::new(),
        released_at: None,
    }
}

/// Reason and what is stopped, for people.
pub(super) fn describe(hold: &Hold) -> String {
    let blocks: Vec<&str> = hold.blocks.iter().map(|block| block.as_str()).collect();
    format!("{} blocks {}", hold.reason, blocks.join(", "))
}

/// The hold that an earlier call placed or released.
pub(super) async fn find(conn: &mut PgConnection, hold_id: &str) -> Result<(OrderId, Hold), Error> {
    let parsed = hold_id.parse::<HoldId>().ok();
    let found = match parsed {
        Some(hold_id) => holds::find(conn, hold_id).await?,
        None => None,
    };
    found.ok_or_else(|| StoreError::inconsistent("idempotency", "resource_id", hold_id).into())
}
