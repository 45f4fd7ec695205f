//! Changes instructions and custom fields.

use std::collections::BTreeMap;

use oms_core::{OrderId, Violations, check_free_text};
use oms_postgres::idempotency;
use sqlx::PgConnection;

use crate::changes::{self, Change, Event};
use crate::ctx::{Caller, Ctx};
use crate::domain::new_order::{INSTRUCTIONS_LEN_MAX, check_custom_fields};
use crate::domain::order::Order;
use crate::domain::state::OrderAction;
use crate::error::{Error, check_etag, transition};

const METHOD: &str = "UpdateOrder";

/// A request to change an order.
#[derive(Debug)]
pub(crate) struct UpdateOrder {
    /// Order.
    pub(crate) order_id: OrderId,
    /// Version that the caller read.
    pub(crate) etag: Option<i64>,
    /// New instructions; `None` leaves them.
    pub(crate) instructions: Option<String>,
    /// Custom fields to set; an empty value removes the field.
    pub(crate) custom_fields: BTreeMap<String, String>,
}

/// Everything that is wrong with the request itself.
pub(crate) fn check(command: &UpdateOrder, violations: &mut Violations) {
    if let Some(instructions) = &command.instructions {
        check_free_text(
            instructions,
            "instructions",
            INSTRUCTIONS_LEN_MAX,
            violations,
        );
    }
    check_custom_fields(&command.custom_fields, "custom_fields", violations);
}

/// Changes an order; the same values again change nothing.
pub(crate) async fn update_order(
    ctx: &Ctx,
    caller: &Caller,
    command: &UpdateOrder,
) -> Result<Order, Error> {
    ctx.db
        .run_tx("update_order", |tx| {
            Box::pin(async move { update(ctx, tx.conn(), caller, command).await })
        })
        .await
}

async fn update(
    ctx: &Ctx,
    conn: &mut PgConnection,
    caller: &Caller,
    command: &UpdateOrder,
) -> Result<Order, Error> {
    let key = caller.key(METHOD);
    let replay = idempotency::check(conn, &key).await?.is_some();
    let mut order = changes::lock(conn, command.order_id).await?;
    if replay {
        return Ok(order.into_order());
    }
    check_etag(command.etag, order.version)?;
    transition(&order, OrderAction::Update)?;
    idempotency::record(conn, &key, &command.order_id.to_string()).await?;
    let changed = apply(&mut order, command);
    let mut violations = Violations::default();
    check_custom_fields(&order.custom_fields, "custom_fields", &mut violations);
    violations.into_result()?;
    if changed.is_empty() {
        return Ok(order.into_order());
    }
    let change = Change {
        actor: &caller.actor(),
        action: "update_order",
        detail: changed.join(", "),
        event: Event::Updated,
    };
    order.write(conn, ctx, &change).await?;
    Ok(order.into_order())
}

/// Applies the request; answers the names of what changed.
fn apply(order: &mut Order, command: &UpdateOrder) -> Vec<String> {
    let mut changed = Vec::new();
    if let Some(instructions) = &command.instructions
        && *instructions != order.instructions
    {
        order.instructions.clone_from(instructions);
        changed.push("instructions".to_owned());
    }
    for (key, value) in &command.custom_fields {
        let before = if value.is_empty() {
            order.custom_fields.remove(key)
        } else {
            order.custom_fields.insert(key.clone(), value.clone())
        };
        if before.as_deref().unwrap_or_default() != value {
            changed.push(key.clone());
        }
    }
    changed
}
