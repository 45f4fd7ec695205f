//! The hold that a task places on an order when its payment was declined.

use oms_core::HoldId;
use sqlx::PgConnection;

use crate::changes::{Change, Event, Locked};
use crate::ctx::{Ctx, SERVICE_ACTOR};
use crate::domain::order::{Hold, HoldBlock};
use crate::error::Error;
use crate::store::holds;

/// A hold to be placed.
pub(super) struct HoldBack {
    /// Derived from what was declined, so that it is placed once.
    pub(super) hold_id: HoldId,
    /// Name of the reason.
    pub(super) reason: &'static str,
    /// What it stops.
    pub(super) blocks: Vec<HoldBlock>,
    /// Note for people.
    pub(super) note: String,
}

/// Places it on the whole order unless it was placed before. The order is locked.
pub(super) async fn place(
    conn: &mut PgConnection,
    ctx: &Ctx,
    order: &mut Locked,
    new: HoldBack,
) -> Result<(), Error> {
    if order.holds.iter().any(|hold| hold.hold_id == new.hold_id) {
        return Ok(());
    }
    let hold = Hold {
        hold_id: new.hold_id,
        order_line_id: None,
        reason: new.reason.to_owned(),
        blocks: new.blocks,
        active: true,
        note: new.note,
        placed_by: SERVICE_ACTOR.to_owned(),
        created_at: ctx.now(),
        release_at: None,
        released_by: String::new(),
        released_at: None,
    };
    holds::insert(conn, order.order_id, &hold).await?;
    order.holds.push(hold.clone());
    let change = Change {
        actor: SERVICE_ACTOR,
        action: "place_hold",
        detail: hold.note.clone(),
        event: Event::HoldPlaced(hold),
    };
    Ok(order.write(conn, ctx, &change).await?)
}
