//! Screen: places the holds that rules ask for. Holds are facts: nothing is undone.

use oms_core::{HoldId, derive};
use sqlx::PgConnection;

use super::{Done, Failure, Record};
use crate::changes::{Change, Event, Locked};
use crate::ctx::{Ctx, SERVICE_ACTOR};
use crate::domain::order::{Hold, HoldBlock};
use crate::domain::screen::{Finding, screen};
use crate::saga::run::{Lost, Run};
use crate::store::{channels, holds};

pub(super) async fn forward(ctx: &Ctx, run: &Run) -> Result<Done, Failure> {
    let order = run.order();
    let channel = {
        let mut conn = ctx.db.read().await?;
        channels::load(&mut conn, &order.channel_id).await?
    };
    let Some(channel) = channel else {
        return Err(Failure::Stuck(format!("no channel {}", order.channel_id)));
    };
    let findings = screen(order, &channel);
    if findings.is_empty() {
        return Ok(Done::pass("nothing found"));
    }
    let found = findings.into_iter().map(|finding| hold(ctx, run, finding));
    Ok(Done::with(Record::Holds(found.collect())))
}

fn hold(ctx: &Ctx, run: &Run, finding: Finding) -> Hold {
    let name = format!("hold/{}", finding.reason);
    Hold {
        hold_id: HoldId::new(derive(run.order_id().uuid(), &name)),
        order_line_id: None,
        reason: finding.reason.to_owned(),
        blocks: vec![HoldBlock::Confirm],
        active: true,
        note: finding.note,
        placed_by: SERVICE_ACTOR.to_owned(),
        created_at: ctx.now(),
        release_at: None,
        released_by: String::new(),
        released_at: None,
    }
}

pub(super) async fn record(
    conn: &mut PgConnection,
    ctx: &Ctx,
    order: &mut Locked,
    found: &[Hold],
) -> Result<(), Lost> {
    for hold in found {
        holds::insert(conn, order.order_id, hold).await?;
        order.holds.push(hold.clone());
        let change = Change {
            actor: SERVICE_ACTOR,
            action: "place_hold",
            detail: format!("{}: {}", hold.reason, hold.note),
            event: Event::HoldPlaced(hold.clone()),
        };
        order.write(conn, ctx, &change).await?;
    }
    Ok(())
}
