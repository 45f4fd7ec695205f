//! From the feed to deliveries: new events as they come, and ranges that are to be replayed.

use std::time::Duration;

use metrics::{counter, gauge};
use oms_core::derive;
use oms_postgres::cursor::{self, Cursor};
use oms_postgres::feed::{self, Batch, FeedEvent, Filter};
use sqlx::PgConnection;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::{CONSUMER, SOURCE};
use crate::ctx::Ctx;
use crate::domain::webhook::{Endpoint, EndpointState, EventFacts};
use crate::error::Error;
use crate::store::webhook_deliveries::{self, NewDelivery};
use crate::store::webhook_replays::{self, Replay};
use crate::store::{StoreError, webhook_endpoints};

/// Positions that one transaction covers.
const BATCH: i64 = 500;
/// Deliveries that one round forgets.
const FORGET_BATCH: i64 = 500;
/// Pause between two rounds of forgetting.
const FORGET_PAUSE: time::Duration = time::Duration::minutes(1);

/// Follows the feed until canceled.
pub(crate) async fn run(ctx: &Ctx, cancel: &CancellationToken) {
    let pause = Duration::from_millis(ctx.config.webhooks.poll_ms);
    let mut heads = ctx.db.feed_head();
    let mut forgot_at = OffsetDateTime::UNIX_EPOCH;
    while !cancel.is_cancelled() {
        heads.borrow_and_update();
        match round(ctx).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => tracing::warn!(error = %error, "webhooks cannot follow the feed"),
        }
        if ctx.now() - forgot_at >= FORGET_PAUSE {
            forgot_at = ctx.now();
            if let Err(error) = forget(ctx).await {
                tracing::warn!(error = %error, "old webhook deliveries could not be forgotten");
            }
        }
        tokio::select! {
            () = cancel.cancelled() => {}
            () = ctx.webhooks.replay_wakes.notified() => {}
            Ok(()) = heads.changed() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// One batch of new events and one of a replay; whether there may be more.
async fn round(ctx: &Ctx) -> Result<bool, Error> {
    let (new, is_new_left) = ctx
        .db
        .run_tx_quiet("fan_out_webhooks", |tx| {
            Box::pin(async move { fan_out(ctx, tx.conn()).await })
        })
        .await?;
    let (replayed, is_replay_left) = ctx
        .db
        .run_tx_quiet("replay_webhooks", |tx| {
            Box::pin(async move { replay(ctx, tx.conn()).await })
        })
        .await?;
    if new + replayed > 0 {
        ctx.webhooks.wakes.notify_one();
    }
    counter!("oms_webhook_deliveries_created", "cause" => "event").increment(new);
    counter!("oms_webhook_deliveries_created", "cause" => "replay").increment(replayed);
    Ok(is_new_left || is_replay_left)
}

/// Makes deliveries of the events after the cursor, and moves it. Answers how many, and whether there are more events.
async fn fan_out(ctx: &Ctx, conn: &mut PgConnection) -> Result<(u64, bool), Error> {
    let batch = next_batch(conn).await?;
    if batch.through_pos == batch.from_pos {
        return Ok((0, false));
    }
    let (from, through) = (batch.from_pos, batch.through_pos);
    let moved = cursor::advance(conn, CONSUMER, SOURCE, batch.epoch, from, through).await?;
    if moved.is_none() {
        return Ok((0, true)); // Another replica was here.
    }
    // After the events: an endpoint that is not seen here was made after all of them.
    let endpoints = webhook_endpoints::enabled(conn).await?;
    let mut deliveries = Vec::new();
    for event in &batch.events {
        let wants = |one: &&Endpoint| event.pos > one.after_pos && one.selects(facts(event));
        deliveries.extend(
            endpoints
                .iter()
                .filter(wants)
                .map(|one| delivery(one, event)),
        );
    }
    let made = webhook_deliveries::insert(conn, &deliveries, false, ctx.now()).await?;
    Ok((made, batch.through_pos < batch.head_pos))
}

/// The events after the cursor, which is moved before if it stands where nothing is kept any more.
async fn next_batch(conn: &mut PgConnection) -> Result<Batch, Error> {
    let head = feed::head(conn).await?;
    let stored = cursor::get(conn, CONSUMER, SOURCE).await?;
    let least = head.first_pos - 1;
    let pos = stored.map_or(least, |cursor| cursor.pos);
    let is_same_epoch = stored.is_some_and(|cursor| cursor.epoch == head.epoch);
    if !is_same_epoch || pos < least || pos > head.pos {
        // The cursor was restored together with the feed it counts in, so its position stays good in a new epoch.
        let kept = pos.clamp(least, head.pos);
        if stored.is_some() && kept != pos {
            tracing::error!(
                pos,
                kept,
                "webhooks missed events that are not kept any more"
            );
        }
        let cursor = Cursor {
            epoch: head.epoch,
            pos: kept,
        };
        cursor::reset(conn, CONSUMER, SOURCE, cursor).await?;
        return read(conn, kept, BATCH).await;
    }
    read(conn, pos, BATCH).await
}

async fn read(conn: &mut PgConnection, after: i64, limit: i64) -> Result<Batch, Error> {
    Ok(feed::read(conn, after, limit, &Filter::default()).await?)
}

/// Works on the oldest range for one batch. Answers how many deliveries begin again, and whether a range is left.
async fn replay(ctx: &Ctx, conn: &mut PgConnection) -> Result<(u64, bool), Error> {
    let Some(replay) = webhook_replays::lock_next(conn).await? else {
        return Ok((0, false));
    };
    let endpoint = webhook_endpoints::load(conn, replay.endpoint_id).await?;
    let endpoint = endpoint.filter(|one| one.state == EndpointState::Enabled);
    let head = feed::head(conn).await?;
    let after = replay.after_pos.max(head.first_pos - 1);
    let limit = (replay.through_pos - after).min(BATCH);
    let Some(endpoint) = endpoint.filter(|_| limit > 0) else {
        webhook_replays::delete(conn, replay.replay_id).await?;
        return Ok((0, true));
    };
    let batch = read(conn, after, limit).await?;
    let events = batch.events.iter();
    let wanted = events.filter(|event| in_range(&replay, event) && endpoint.selects(facts(event)));
    let deliveries: Vec<NewDelivery> = wanted.map(|event| delivery(&endpoint, event)).collect();
    let begun = webhook_deliveries::insert(conn, &deliveries, true, ctx.now()).await?;
    if batch.through_pos >= replay.through_pos {
        webhook_replays::delete(conn, replay.replay_id).await?;
    } else {
        webhook_replays::advance(conn, replay.replay_id, batch.through_pos).await?;
    }
    Ok((begun, true))
}

fn in_range(replay: &Replay, event: &FeedEvent) -> bool {
    let at = event.occurred_at;
    replay.starts_at.is_none_or(|start| at >= start) && replay.ends_at.is_none_or(|end| at < end)
}

fn facts(event: &FeedEvent) -> EventFacts<'_> {
    EventFacts {
        aggregate_type: &event.aggregate_type,
        event_type: &event.event_type,
        channel_id: event.channel_id.as_deref(),
    }
}

fn delivery(endpoint: &Endpoint, event: &FeedEvent) -> NewDelivery {
    NewDelivery {
        delivery_id: derive(endpoint.endpoint_id, &event.event_id.to_string()),
        endpoint_id: endpoint.endpoint_id,
        event_id: event.event_id,
        event_type: event.event_type.clone(),
        feed_pos: event.pos,
    }
}

/// Forgets old deliveries, and tells how long the oldest that is due has waited.
async fn forget(ctx: &Ctx) -> Result<(), Error> {
    let now = ctx.now();
    let before = now - time::Duration::days(i64::from(ctx.config.webhooks.kept_days));
    let forgotten = ctx.db.run_tx_quiet("forget_webhook_deliveries", |tx| {
        Box::pin(async move {
            let forgotten =
                webhook_deliveries::forget(tx.conn(), before, now, FORGET_BATCH).await?;
            Ok::<_, StoreError>(forgotten)
        })
    });
    forgotten.await?;
    let oldest = {
        let mut conn = ctx.db.read().await?;
        webhook_deliveries::oldest_due(&mut conn, now).await?
    };
    let age = oldest.map_or(time::Duration::ZERO, |due| now - due);
    gauge!("oms_webhook_oldest_due_seconds").set(age.as_seconds_f64());
    Ok(())
}
