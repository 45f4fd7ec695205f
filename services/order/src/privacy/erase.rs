//! Erases personal data: the key is forgotten, free texts of the orders are cleared. The row of the key stays as the
//! record of it.

use oms_postgres::outbox::{self, Attributes, NewEvent};
use oms_telemetry::TraceContext;
use sqlx::PgConnection;

use crate::ctx::Ctx;
use crate::domain::erasure::{Erasure, Subject};
use crate::error::Error;
use crate::messages;
use crate::store::{StoreError, addresses, data_keys, personal_texts};

use super::keeper::seal_clear;

/// Open orders that a refusal names at most.
const OPEN_TOLD: i64 = 20;

/// Erases a subject's data in the present transaction; what was erased before stays as it is.
///
/// # Errors
/// [`Error::OpenOrders`], and [`Error::NotFound`] for a subject of whom there is no order.
pub(crate) async fn erase(
    ctx: &Ctx,
    conn: &mut PgConnection,
    actor: &str,
    subject: &Subject,
) -> Result<Erasure, Error> {
    seal_rest(ctx, conn, subject).await?;
    // Whoever places an order holds the key; with it locked no order comes that needs it.
    let Some(key_id) = data_keys::lock(conn, subject).await? else {
        let before = data_keys::erasures(conn, subject).await?;
        return before.ok_or_else(|| Error::NotFound {
            resource: "customer",
            id: subject.id(),
        });
    };
    personal_texts::lock_orders(conn, subject).await?;
    let open = personal_texts::open_orders(conn, subject, OPEN_TOLD).await?;
    if !open.is_empty() {
        return Err(Error::OpenOrders { open });
    }
    let channels = personal_texts::channels(conn, subject).await?;
    // Nobody has that many channels.
    let told = i32::try_from(channels.len()).unwrap_or(i32::MAX);
    data_keys::erase(conn, key_id, actor, ctx.now(), told).await?;
    personal_texts::clear(conn, subject).await?;
    let trace = TraceContext::current();
    let trace_id = trace.trace_id().unwrap_or_default();
    let linked = oms_telemetry::linked_trace_id();
    personal_texts::tell(conn, subject, actor, ctx.now(), trace_id, &linked).await?;
    let erasure = data_keys::erasures(conn, subject).await?;
    let erasure =
        erasure.ok_or_else(|| StoreError::inconsistent("data_keys", "erased_at", key_id))?;
    let first = erasure.told - i64::from(told) + 1;
    let events: Vec<NewEvent> = (first..)
        .zip(channels)
        .map(|(version, channel_id)| event(ctx, actor, subject, &erasure, version, channel_id))
        .collect();
    outbox::append_all(conn, &events).await?;
    Ok(erasure)
}

/// Seals what of the subject's still stands in clear, so that the key covers all of it. Waits for a keeper that is at it:
/// what that would seal after the erasure would be under a new key.
async fn seal_rest(ctx: &Ctx, conn: &mut PgConnection, subject: &Subject) -> Result<(), Error> {
    addresses::lock_clear_of(conn, subject).await?;
    while seal_clear(ctx, conn, Some(subject)).await? > 0 {}
    Ok(())
}

/// There is one per channel: who is bound to channels, or asks for some, has copies of their orders and must hear of it.
fn event(
    ctx: &Ctx,
    actor: &str,
    subject: &Subject,
    erasure: &Erasure,
    version: i64,
    channel_id: String,
) -> NewEvent {
    let (event_type, payload) = messages::customer_erased(subject, erasure, &channel_id);
    NewEvent {
        event_id: ctx.id(),
        aggregate_type: "customer",
        aggregate_id: subject.id(),
        aggregate_version: version,
        event_type,
        payload,
        actor: actor.to_owned(),
        occurred_at: erasure.erased_at,
        attributes: Attributes {
            channel_id: Some(channel_id),
            ..Attributes::default()
        },
    }
}
