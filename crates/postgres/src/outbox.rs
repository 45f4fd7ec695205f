//! Events of a transaction, on their way to the feed.

use oms_telemetry::TraceContext;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{Error, scope};

/// An event to publish with the current transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Id of the event, from the id source.
    pub event_id: Uuid,
    /// Kind of the aggregate, such as `"order"`.
    pub aggregate_type: &'static str,
    /// Id of the aggregate as text.
    pub aggregate_id: String,
    /// Number of the event within its aggregate: 1, 2, 3 without a gap. The aggregate's row must
    /// be locked by this transaction, else two events may come out in the wrong order.
    pub aggregate_version: i64,
    /// Name of the event's message, such as `"OrderPlaced"`.
    pub event_type: &'static str,
    /// Bytes of the service's event message.
    pub payload: Vec<u8>,
    /// Who caused it, such as `user:alice`.
    pub actor: String,
    /// Time of the clock.
    pub occurred_at: OffsetDateTime,
    /// What subscribers filter by.
    pub attributes: Attributes,
}

/// What subscribers filter by besides the type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Channel the event belongs to.
    pub channel_id: Option<String>,
    /// Location the event belongs to.
    pub location_id: Option<String>,
    /// Partner the event belongs to.
    pub partner_id: Option<String>,
}

/// Appends an event; the relay is woken after commit. The current span is stored as its cause.
pub async fn append(conn: &mut PgConnection, event: &NewEvent) -> Result<(), Error> {
    append_all(conn, std::slice::from_ref(event)).await
}

/// Appends events in their order with one statement.
pub async fn append_all(conn: &mut PgConnection, events: &[NewEvent]) -> Result<(), Error> {
    let trace = TraceContext::current();
    append_caused(conn, events, &vec![&trace; events.len()]).await
}

/// [`append_all`] for events with different causes: `causes` is in step with the events. For
/// transactions that do the work of several calls.
pub async fn append_caused(
    conn: &mut PgConnection,
    events: &[NewEvent],
    causes: &[&TraceContext],
) -> Result<(), Error> {
    if events.is_empty() {
        return Ok(());
    }
    let traces: Vec<&str> = causes.iter().map(|cause| cause.as_str()).collect();
    let ids: Vec<Uuid> = events.iter().map(|event| event.event_id).collect();
    let aggregate_types: Vec<&str> = events.iter().map(|event| event.aggregate_type).collect();
    let aggregate_ids: Vec<&str> = events
        .iter()
        .map(|event| event.aggregate_id.as_str())
        .collect();
    let versions: Vec<i64> = events.iter().map(|event| event.aggregate_version).collect();
    let types: Vec<&str> = events.iter().map(|event| event.event_type).collect();
    let payloads: Vec<&[u8]> = events
        .iter()
        .map(|event| event.payload.as_slice())
        .collect();
    let actors: Vec<&str> = events.iter().map(|event| event.actor.as_str()).collect();
    let times: Vec<OffsetDateTime> = events.iter().map(|event| event.occurred_at).collect();
    let channels: Vec<Option<&str>> = events
        .iter()
        .map(|event| event.attributes.channel_id.as_deref())
        .collect();
    let locations: Vec<Option<&str>> = events
        .iter()
        .map(|event| event.attributes.location_id.as_deref())
        .collect();
    let partners: Vec<Option<&str>> = events
        .iter()
        .map(|event| event.attributes.partner_id.as_deref())
        .collect();
    sqlx::query!(
        "insert into outbox (event_id, aggregate_type, aggregate_id, aggregate_version, event_type,
                             payload, actor, occurred_at, channel_id, location_id, partner_id,
                             traceparent)
         select e.event_id, e.aggregate_type, e.aggregate_id, e.aggregate_version, e.event_type,
                e.payload, e.actor, e.occurred_at, e.channel_id, e.location_id, e.partner_id,
                e.traceparent
         from unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::bytea[],
                     $7::text[], $8::timestamptz[], $9::text[], $10::text[], $11::text[],
                     $12::text[]) with ordinality
              as e (event_id, aggregate_type, aggregate_id, aggregate_version, event_type, payload,
                    actor, occurred_at, channel_id, location_id, partner_id, traceparent, place)
         order by e.place",
        &ids,
        &aggregate_types as &[&str],
        &aggregate_ids as &[&str],
        &versions,
        &types as &[&str],
        &payloads as &[&[u8]],
        &actors as &[&str],
        &times,
        &channels as &[Option<&str>],
        &locations as &[Option<&str>],
        &partners as &[Option<&str>],
        &traces as &[&str],
    )
    .execute(conn)
    .await?;
    scope::note_events();
    Ok(())
}
