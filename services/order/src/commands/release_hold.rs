//! Ends a hold; what it stopped goes on.

use oms_core::{HoldId, OrderId};
use oms_postgres::idempotency;
use sqlx::PgConnection;

use super::place_hold::{describe, find};
use crate::changes::{self, Change, Event, Locked};
use crate::ctx::{Caller, Ctx};
use crate::domain::order::Hold;
use crate::error::Error;
use crate::store::{holds, sagas};

const METHOD: &str = "ReleaseHold";

/// A request to end a hold.
#[derive(Debug)]
pub(crate) struct ReleaseHold {
    /// Hold.
    pub(crate) hold_id: HoldId,
    /// Note for people.
    pub(crate) note: String,
}

/// Ends a hold. A hold that has ended cannot end again.
pub(crate) async fn release_hold(
    ctx: &Ctx,
    caller: &Caller,
    command: &ReleaseHold,
) -> Result<(OrderId, Hold), Error> {
    let released = ctx
        .db
        .run_tx("release_hold", |tx| {
            Box::pin(async move { release(ctx, tx.conn(), caller, command).await })
        })
        .await?;
    ctx.wake_sagas();
    Ok(released)
}

async fn release(
    ctx: &Ctx,
    conn: &mut PgConnection,
    caller: &Caller,
    command: &ReleaseHold,
) -> Result<(OrderId, Hold), Error> {
    let key = caller.key(METHOD);
    if let Some(id) = idempotency::check(conn, &key).await? {
        return find(conn, &id).await;
    }
    let not_found = || Error::NotFound {
        resource: "hold",
        id: command.hold_id.to_string(),
    };
    let order_id = holds::order_of(conn, command.hold_id)
        .await?
        .ok_or_else(not_found)?;
    let mut order = changes::lock(conn, order_id).await?;
    let actor = caller.actor();
    let ended = end(
        conn,
        ctx,
        &mut order,
        command.hold_id,
        &actor,
        &command.note,
    )
    .await?;
    let hold = ended.ok_or(Error::IllegalTransition {
        aggregate: "hold",
        state: "RELEASED",
        action: "release",
        supported: Vec::new(),
    })?;
    idempotency::record(conn, &key, &command.hold_id.to_string()).await?;
    Ok((order_id, hold))
}

/// Ends an active hold of a locked order and signals its saga; `None` when it has ended before.
pub(crate) async fn end(
    conn: &mut PgConnection,
    ctx: &Ctx,
    order: &mut Locked,
    hold_id: HoldId,
    actor: &str,
    note: &str,
) -> Result<Option<Hold>, Error> {
    let now = ctx.now();
    if !holds::release(conn, hold_id, actor, now).await? {
        return Ok(None);
    }
    let mut ended = None;
    for hold in order
        .holds
        .iter_mut()
        .filter(|hold| hold.hold_id == hold_id)
    {
        hold.active = false;
        actor.clone_into(&mut hold.released_by);
        hold.released_at = Some(now);
        ended = Some(hold.clone());
    }
    let Some(hold) = ended else { return Ok(None) };
    let mut detail = describe(&hold);
    if !note.is_empty() {
        detail = format!("{detail}: {note}");
    }
    let change = Change {
        actor,
        action: "release_hold",
        detail,
        event: Event::HoldReleased(hold.clone()),
    };
    order.write(conn, ctx, &change).await?;
    sagas::signal(conn, order.order_id, now).await?;
    Ok(Some(hold))
}
