//! Request ids: a repeated call answers what the first one did, and does nothing.
//!
//! Both calls belong into the transaction of the command: [`check`] as its first statement, before
//! anything is locked or compared, and [`record`] when the effect is written; [`begin`] is both, where it is known
//! before what the call is about. A concurrent repeat
//! waits in [`check`] until the first call has ended: then it replays, or, if that one failed, runs
//! itself. It never sees half of the first one, such as a version that has moved on.

use oms_telemetry::TraceContext;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{Error, scope};

/// What makes two calls the same call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestKey {
    /// Who calls, such as `user:alice`.
    pub principal: String,
    /// Which RPC, such as `"PlaceOrder"`.
    pub method: &'static str,
    /// The id that the caller chose.
    pub request_id: Uuid,
    /// SHA-256 of the request without `request_id` and `wait_for`.
    pub hash: [u8; 32],
    /// Why, in the caller's words or code; for the audit log, empty when none was given. No part of the key.
    pub reason: String,
}

/// Begins the call: the id of its resource if it succeeded before, else `None`.
///
/// # Errors
/// [`Error::RequestIdReused`] when the id came before with another body.
pub async fn check(conn: &mut PgConnection, key: &RequestKey) -> Result<Option<String>, Error> {
    // Outside of a transaction the key would be committed alone, and a concurrent repeat would not wait.
    debug_assert!(
        scope::is_inside(),
        "idempotency::check belongs into a transaction"
    );
    let begun = sqlx::query!(
        "insert into idempotency (principal, method, request_id, request_hash)
         values ($1, $2, $3, $4) on conflict (principal, method, request_id) do nothing",
        key.principal,
        key.method,
        key.request_id,
        key.hash.as_slice(),
    )
    .execute(&mut *conn)
    .await?
    .rows_affected();
    if begun > 0 {
        Ok(None)
    } else {
        find(conn, key).await
    }
}

/// [`check`] and [`record`] in one round trip, for a call whose resource is known before anything is done: when it goes
/// on, it is recorded that it succeeds with this transaction.
///
/// # Errors
/// [`Error::RequestIdReused`] when the id came before with another body.
pub async fn begin(
    conn: &mut PgConnection,
    key: &RequestKey,
    resource_id: &str,
) -> Result<Option<String>, Error> {
    debug_assert!(
        scope::is_inside(),
        "idempotency::begin belongs into a transaction"
    );
    let cause = TraceContext::current();
    let begun = sqlx::query_scalar!(
        r#"with begun as (
             insert into idempotency (principal, method, request_id, request_hash, resource_id)
             values ($1, $2, $3, $4, $5) on conflict (principal, method, request_id) do nothing
             returning 1
           ), audited as (
             insert into audit_pending (principal, method, object_id, content_hash, reason, request_id,
                                        traceparent)
             select $1, $2, $5, $4, $6, $3, $7 from begun
           )
           select count(*) as "begun!" from begun"#,
        key.principal,
        key.method,
        key.request_id,
        key.hash.as_slice(),
        resource_id,
        key.reason,
        cause.as_str(),
    )
    .fetch_one(&mut *conn)
    .await?;
    if begun > 0 {
        return Ok(None);
    }
    let found = find(conn, key).await?;
    if found.is_none() {
        // An earlier call has left its id, and no resource.
        record(conn, key, resource_id).await?;
    }
    Ok(found)
}

/// [`check`] that only reads, for use outside of a transaction: to spare a repeated call the
/// questions that it would ask its peers first.
///
/// # Errors
/// [`Error::RequestIdReused`] when the id came before with another body.
pub async fn find(conn: &mut PgConnection, key: &RequestKey) -> Result<Option<String>, Error> {
    let found = sqlx::query!(
        "select request_hash, resource_id from idempotency
         where principal = $1 and method = $2 and request_id = $3",
        key.principal,
        key.method,
        key.request_id,
    )
    .fetch_optional(conn)
    .await?;
    match found {
        None => Ok(None),
        Some(row) if row.request_hash == key.hash => Ok(row.resource_id),
        Some(_) => Err(Error::RequestIdReused),
    }
}

/// Records that the call succeeds with this transaction, also for the audit log. Without it, a call
/// that commits is run again when it is repeated.
pub async fn record(
    conn: &mut PgConnection,
    key: &RequestKey,
    resource_id: &str,
) -> Result<(), Error> {
    let cause = TraceContext::current();
    let recorded = sqlx::query_scalar!(
        r#"with recorded as (
             insert into idempotency as i (principal, method, request_id, request_hash, resource_id)
             values ($1, $2, $3, $4, $5)
             on conflict (principal, method, request_id) do update set resource_id = $5
             where i.request_hash = $4 and (i.resource_id is null or i.resource_id = $5)
             returning 1
           ), audited as (
             insert into audit_pending (principal, method, object_id, content_hash, reason, request_id,
                                        traceparent)
             select $1, $2, $5, $4, $6, $3, $7 from recorded
           )
           select count(*) as "recorded!" from recorded"#,
        key.principal,
        key.method,
        key.request_id,
        key.hash.as_slice(),
        resource_id,
        key.reason,
        cause.as_str(),
    )
    .fetch_one(conn)
    .await?;
    if recorded > 0 {
        return Ok(());
    }
    // Only without a check before: another call has succeeded meanwhile. The next attempt sees it.
    Err(Error::transient("23505"))
}

/// What [`find_all`] knows of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It has not succeeded before.
    Nothing,
    /// It succeeded: the id of its resource.
    Success(String),
    /// The id came before with another body.
    OtherBody,
}

/// [`find`] for many calls with one statement; the answers are in step with the keys. For commands
/// that are decided together under locks of their own, which also hold off concurrent repeats.
pub async fn find_all(conn: &mut PgConnection, keys: &[&RequestKey]) -> Result<Vec<Found>, Error> {
    let mut found = vec![Found::Nothing; keys.len()];
    if keys.is_empty() {
        return Ok(found);
    }
    let (principals, methods, ids) = columns(keys.iter().copied());
    let rows = sqlx::query!(
        r#"select k.place as "place!", i.request_hash, i.resource_id
           from unnest($1::text[], $2::text[], $3::uuid[]) with ordinality
                as k (principal, method, request_id, place)
           join idempotency i using (principal, method, request_id)"#,
        &principals as &[&str],
        &methods as &[&str],
        &ids,
    )
    .fetch_all(conn)
    .await?;
    for row in rows {
        // Ordinality counts from 1.
        let place = usize::try_from(row.place - 1).unwrap_or(usize::MAX);
        if let (Some(key), Some(found)) = (keys.get(place), found.get_mut(place)) {
            *found = match row.resource_id {
                _ if row.request_hash != key.hash => Found::OtherBody,
                Some(resource_id) => Found::Success(resource_id),
                None => Found::Nothing,
            };
        }
    }
    Ok(found)
}

/// Calls, column by column.
pub(crate) fn columns<'a>(
    keys: impl Iterator<Item = &'a RequestKey>,
) -> (Vec<&'a str>, Vec<&'a str>, Vec<Uuid>) {
    let mut columns = (Vec::new(), Vec::new(), Vec::new());
    for key in keys {
        columns.0.push(key.principal.as_str());
        columns.1.push(key.method);
        columns.2.push(key.request_id);
    }
    columns
}
