//! What a transaction that did the work of many calls leaves at its end.

use oms_telemetry::TraceContext;
use sqlx::PgConnection;

use crate::idempotency::{RequestKey, columns};
use crate::outbox::{Columns, NewEvent};
use crate::{Error, scope};

/// A call that succeeds with the transaction.
#[derive(Debug)]
pub struct Call<'a> {
    /// What makes a repeat the same call.
    pub key: &'a RequestKey,
    /// Id of what it made or changed.
    pub resource_id: String,
    /// Its span, for the audit log.
    pub cause: &'a TraceContext,
}

/// [`outbox::append_all`](crate::outbox::append_all) for events with different causes, which are in step with the events,
/// and [`idempotency::record`](crate::idempotency::record) for calls with different keys, also for the audit log, in one round trip.
///
/// # Errors
/// [`Error::Transient`] when one of the calls has succeeded meanwhile, or its id came before with another body: the next
/// attempt has to look.
pub async fn leave(
    conn: &mut PgConnection,
    events: &[NewEvent],
    causes: &[&TraceContext],
    calls: &[Call<'_>],
) -> Result<(), Error> {
    if events.is_empty() && calls.is_empty() {
        return Ok(());
    }
    let told = Columns::of(events, causes);
    let (principals, methods, ids) = columns(calls.iter().map(|call| call.key));
    let hashes: Vec<&[u8]> = calls.iter().map(|call| call.key.hash.as_slice()).collect();
    let resources: Vec<&str> = calls.iter().map(|call| call.resource_id.as_str()).collect();
    let reasons: Vec<&str> = calls.iter().map(|call| call.key.reason.as_str()).collect();
    let traces: Vec<&str> = calls.iter().map(|call| call.cause.as_str()).collect();
    // Calls in one order, so that two transactions cannot wait for each other.
    let recorded = sqlx::query_scalar!(
        r#"with told as (
             insert into outbox (event_id, aggregate_type, aggregate_id, aggregate_version, event_type,
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
             order by e.place
           ), recorded as (
             insert into idempotency as i (principal, method, request_id, request_hash, resource_id)
             select k.principal, k.method, k.request_id, k.request_hash, k.resource_id
             from unnest($13::text[], $14::text[], $15::uuid[], $16::bytea[], $17::text[])
                  as k (principal, method, request_id, request_hash, resource_id)
             order by k.principal, k.method, k.request_id
             on conflict (principal, method, request_id) do update set resource_id = excluded.resource_id
             where i.request_hash = excluded.request_hash
               and (i.resource_id is null or i.resource_id = excluded.resource_id)
             returning 1
           ), audited as (
             insert into audit_pending (principal, method, object_id, content_hash, reason, request_id,
                                        traceparent)
             select k.principal, k.method, k.resource_id, k.request_hash, k.reason, k.request_id,
                    k.traceparent
             from unnest($13::text[], $14::text[], $15::uuid[], $16::bytea[], $17::text[], $18::text[],
                         $19::text[])
                  as k (principal, method, request_id, request_hash, resource_id, reason, traceparent)
           )
           select count(*) as "recorded!" from recorded"#,
        &told.ids,
        &told.aggregate_types as &[&str],
        &told.aggregate_ids as &[&str],
        &told.versions,
        &told.types as &[&str],
        &told.payloads as &[&[u8]],
        &told.actors as &[&str],
        &told.times,
        &told.channels as &[Option<&str>],
        &told.locations as &[Option<&str>],
        &told.partners as &[Option<&str>],
        &told.traces as &[&str],
        &principals as &[&str],
        &methods as &[&str],
        &ids,
        &hashes as &[&[u8]],
        &resources as &[&str],
        &reasons as &[&str],
        &traces as &[&str],
    )
    .fetch_one(conn)
    .await?;
    settle(events, recorded, calls)
}

/// Wakes the relay with the commit when there are events, and fails when not every call could be recorded.
fn settle(events: &[NewEvent], recorded: i64, calls: &[Call<'_>]) -> Result<(), Error> {
    if !events.is_empty() {
        scope::note_events();
    }
    if usize::try_from(recorded).is_ok_and(|recorded| recorded == calls.len()) {
        return Ok(());
    }
    Err(Error::transient("23505"))
}
