//! Release: has fulfillment orders created for allocated units, batch by batch, unless a hold or the wish to
//! ship complete stops it. Runs again for units that are allocated later.

use oms_core::FulfillmentOrderId;
use sqlx::PgConnection;
use time::Duration;

use super::{Done, Failure, Record};
use crate::changes::{self, Change, Event, Locked};
use crate::ctx::{Ctx, SERVICE_ACTOR, request_id_for};
use crate::domain::release::{FIRST_BATCH, FulfillmentOrder, Release, ReleaseState, blocked};
use crate::domain::saga::StepResult;
use crate::saga::run::{Lost, Run};
use crate::store::{fulfillment_orders, releases, sagas};

/// What stops the release signals when it ends; this is only the net below.
const LOOK_AGAIN: Duration = Duration::hours(1);

pub(super) async fn forward(ctx: &Ctx, run: &Run) -> Result<Done, Failure> {
    let batches = {
        let mut conn = ctx.db.snapshot().await?;
        releases::list(&mut conn, run.order_id()).await?
    };
    let mut open = batches
        .into_iter()
        .filter(|batch| batch.state != ReleaseState::Released);
    let Some(batch) = open.next() else {
        return Ok(Done::of(StepResult::Done));
    };
    let more = open.next().is_some();
    let batch = match batch.state {
        ReleaseState::Planned => match send(ctx, run, &batch).await? {
            Some(batch) => batch,
            None => return Ok(Done::wait(ctx.now() + LOOK_AGAIN)),
        },
        ReleaseState::Sent | ReleaseState::Released => batch,
    };
    let rows = create(ctx, run, &batch).await?;
    let result = if more {
        StepResult::NotYet
    } else {
        StepResult::Done
    };
    Ok(Done {
        result,
        note: format!(
            "{} fulfillment orders for batch {}",
            rows.len(),
            batch.batch
        ),
        ..Done::with(Record::Released(batch.batch, rows))
    })
}

/// Fixes a planned batch, so that it may be sent; `None` while something stops it.
async fn send(ctx: &Ctx, run: &Run, batch: &Release) -> Result<Option<Release>, Failure> {
    if blocked(run.order()).is_some() {
        return Ok(None);
    }
    let sent = ctx
        .db
        .run_tx("send_release", |tx| {
            Box::pin(async move {
                let conn = tx.conn();
                let order = changes::lock(conn, run.order_id()).await?;
                let attempt = run.saga().attempt;
                sagas::lock_claimed(conn, run.order_id(), run.holder(), attempt)
                    .await?
                    .ok_or(Lost::Lease)?;
                if blocked(&order).is_some() {
                    return Ok(None);
                }
                releases::set_state(conn, run.order_id(), &batch.batch, ReleaseState::Sent).await?;
                // Read under the lock: a cancellation may have taken units before.
                let all = releases::list(conn, run.order_id()).await?;
                Ok::<_, Lost>(all.into_iter().find(|found| found.batch == batch.batch))
            })
        })
        .await?;
    ctx.failpoint("release", "sent");
    Ok(sent)
}

async fn create(ctx: &Ctx, run: &Run, batch: &Release) -> Result<Vec<FulfillmentOrder>, Failure> {
    if batch.lines.is_empty() {
        return Ok(Vec::new());
    }
    let request_id = request_id_for(run.order_id().uuid(), &format!("release/{}", batch.batch));
    let proposal_id = match &run.saga().proposal {
        Some(proposal) if batch.batch == FIRST_BATCH => proposal.proposal_id.clone(),
        _ => String::new(),
    };
    ctx.fulfillment
        .create(request_id, run.order(), batch, proposal_id)
        .await
        .map_err(|error| Failure::of_peer("fulfillment", &error))
}

pub(super) async fn record(
    conn: &mut PgConnection,
    ctx: &Ctx,
    order: &mut Locked,
    batch: &str,
    rows: &[FulfillmentOrder],
) -> Result<(), Lost> {
    releases::set_state(conn, order.order_id, batch, ReleaseState::Released).await?;
    if rows.is_empty() {
        return Ok(());
    }
    fulfillment_orders::upsert(conn, order.order_id, rows).await?;
    let ids: Vec<FulfillmentOrderId> = rows.iter().map(|row| row.fulfillment_order_id).collect();
    for id in &ids {
        if !order.fulfillment_order_ids.contains(id) {
            order.fulfillment_order_ids.push(*id);
        }
    }
    let locations: Vec<&str> = rows.iter().map(|row| row.location_id.as_str()).collect();
    let change = Change {
        actor: SERVICE_ACTOR,
        action: "release",
        detail: format!("to {}", locations.join(", ")),
        event: Event::Released(ids),
    };
    order.write(conn, ctx, &change).await?;
    Ok(())
}
