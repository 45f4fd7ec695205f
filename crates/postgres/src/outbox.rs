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

/// [`append_all`] for events with different causes, which are in step with the events.
pub async fn append_caused(
    conn: &mut PgConnection,
    events: &[NewEvent],
    causes: &[&TraceContext],
) -> Result<(), Error> {
    if events.is_empty() {
        return Ok(());
    }
    let columns = Columns::of(events, causes);
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
        &columns.ids,
        &columns.aggregate_types as &[&str],
        &columns.aggregate_ids as &[&str],
        &columns.versions,
        &columns.types as &[&str],
        &columns.payloads as &[&[u8]],
        &columns.actors as &[&str],
        &columns.times,
        &columns.channels as &[Option<&str>],
        &columns.locations as &[Option<&str>],
        &columns.partners as &[Option<&str>],
        &columns.traces as &[&str],
    )
    .execute(conn)
    .await?;
    scope::note_events();
    Ok(())
}

/// Events, column by column.
#[derive(Default)]
pub(crate) struct Columns<'a> {
    pub(crate) ids: Vec<Uuid>,
    pub(crate) aggregate_types: Vec<&'a str>,
    pub(crate) aggregate_ids: Vec<&'a str>,
    pub(crate) versions: Vec<i64>,
    pub(crate) types: Vec<&'a str>,
    pub(crate) payloads: Vec<&'a [u8]>,
    pub(crate) actors: Vec<&'a str>,
    pub(crate) times: Vec<OffsetDateTime>,
    pub(crate) channels: Vec<Option<&'a str>>,
    pub(crate) locations: Vec<Option<&'a str>>,
    pub(crate) partners: Vec<Option<&'a str>>,
    pub(crate) traces: Vec<&'a str>,
}

impl<'a> Columns<'a> {
    /// `causes` is in step with the events.
    pub(crate) fn of(events: &'a [NewEvent], causes: &[&'a TraceContext]) -> Self {
        let mut columns = Self::default();
        for (event, cause) in events.iter().zip(causes) {
            columns.ids.push(event.event_id);
            columns.aggregate_types.push(event.aggregate_type);
            columns.aggregate_ids.push(&event.aggregate_id);
            columns.versions.push(event.aggregate_version);
            columns.types.push(event.event_type);
            columns.payloads.push(&event.payload);
            columns.actors.push(&event.actor);
            columns.times.push(event.occurred_at);
            let attributes = &event.attributes;
            columns.channels.push(attributes.channel_id.as_deref());
            columns.locations.push(attributes.location_id.as_deref());
            columns.partners.push(attributes.partner_id.as_deref());
            columns.traces.push(cause.as_str());
        }
        columns
    }
}
