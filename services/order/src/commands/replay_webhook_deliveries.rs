//! Delivers events to an endpoint of webhooks again.

use oms_core::Violations;
use oms_postgres::{feed, idempotency};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::ctx::{Caller, Ctx};
use crate::domain::webhook::EndpointState;
use crate::error::Error;
use crate::store::webhook_deliveries::{self, NewDelivery};
use crate::store::webhook_endpoints;
use crate::store::webhook_replays::{self, Replay};

const METHOD: &str = "ReplayWebhookDeliveries";

/// What is delivered again.
#[derive(Debug, Clone)]
pub(crate) enum Selection {
    /// One delivery.
    Delivery(Uuid),
    /// Events of a range.
    Range {
        /// After this position.
        after_pos: i64,
        /// Up to this one; 0 for the head.
        through_pos: i64,
        /// That happened then or later.
        starts_at: Option<OffsetDateTime>,
        /// That happened before.
        ends_at: Option<OffsetDateTime>,
    },
}

/// Makes deliveries due again: one at once, a range in the background. Answers how many positions will be looked at.
pub(crate) async fn replay_webhook_deliveries(
    ctx: &Ctx,
    caller: &Caller,
    endpoint_id: Uuid,
    selection: &Selection,
) -> Result<i64, Error> {
    let replayed = ctx.db.run_tx("replay_webhook_deliveries", |tx| {
        Box::pin(async move { replay(ctx, tx.conn(), caller, endpoint_id, selection).await })
    });
    let positions = replayed.await?;
    ctx.webhooks.wakes.notify_one();
    ctx.webhooks.replay_wakes.notify_one();
    Ok(positions)
}

async fn replay(
    ctx: &Ctx,
    conn: &mut PgConnection,
    caller: &Caller,
    endpoint_id: Uuid,
    selection: &Selection,
) -> Result<i64, Error> {
    let key = caller.key(METHOD);
    // The number of positions is all that the answer holds, so it is what is kept of the call.
    if let Some(positions) = idempotency::check(conn, &key).await? {
        return Ok(positions.parse().unwrap_or_default());
    }
    let locked = webhook_endpoints::lock(conn, endpoint_id).await?;
    let endpoint = locked.ok_or_else(|| Error::webhook_endpoint_not_found(endpoint_id))?;
    if endpoint.state != EndpointState::Enabled {
        return Err(Error::IllegalTransition {
            aggregate: "webhook_endpoint",
            state: endpoint.state.as_str(),
            action: "replay",
            supported: vec!["enable", "delete"],
        });
    }
    let positions = match selection {
        Selection::Delivery(delivery_id) => one(ctx, conn, endpoint_id, *delivery_id).await?,
        Selection::Range {
            after_pos,
            through_pos,
            starts_at,
            ends_at,
        } => {
            let head = feed::head(conn).await?;
            let after_pos = (*after_pos).max(head.first_pos - 1);
            let through_pos = if *through_pos == 0 {
                head.pos
            } else {
                (*through_pos).min(head.pos)
            };
            let replay = Replay {
                replay_id: ctx.id(),
                endpoint_id,
                after_pos,
                through_pos,
                starts_at: *starts_at,
                ends_at: *ends_at,
            };
            webhook_replays::insert(conn, &replay, &caller.actor(), ctx.now()).await?;
            (through_pos - after_pos).max(0)
        }
    };
    idempotency::record(conn, &key, &positions.to_string()).await?;
    Ok(positions)
}

async fn one(
    ctx: &Ctx,
    conn: &mut PgConnection,
    endpoint_id: Uuid,
    delivery_id: Uuid,
) -> Result<i64, Error> {
    let found = webhook_deliveries::load(conn, delivery_id).await?;
    let Some(delivery) = found.filter(|one| one.endpoint_id == endpoint_id) else {
        let mut violations = Violations::default();
        let message = "is not a delivery of the endpoint";
        violations.push("webhook_delivery_id", "REFERENCE_UNKNOWN", message);
        return Err(violations.into());
    };
    let again = NewDelivery {
        delivery_id,
        endpoint_id,
        event_id: delivery.event_id,
        event_type: delivery.event_type,
        feed_pos: delivery.feed_pos,
    };
    webhook_deliveries::insert(conn, &[again], true, ctx.now()).await?;
    Ok(1)
}
