//! Deliveries of webhooks and their attempts.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::webhook::{Attempt, Delivery, DeliveryFilter, DeliveryState};

use super::StoreError;

/// Attempts that are shown of a delivery.
const ATTEMPTS_SHOWN: i64 = 100;

/// A delivery to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewDelivery {
    pub(crate) delivery_id: Uuid,
    pub(crate) endpoint_id: Uuid,
    pub(crate) event_id: Uuid,
    pub(crate) event_type: String,
    pub(crate) feed_pos: i64,
}

/// Makes deliveries that are due now. One that is there stays as it is, or, when it is to be replayed, begins again unless it
/// is being sent. Answers how many are due now.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    deliveries: &[NewDelivery],
    is_replay: bool,
    now: OffsetDateTime,
) -> Result<u64, StoreError> {
    if deliveries.is_empty() {
        return Ok(0);
    }
    let ids: Vec<Uuid> = deliveries.iter().map(|one| one.delivery_id).collect();
    let endpoints: Vec<Uuid> = deliveries.iter().map(|one| one.endpoint_id).collect();
    let events: Vec<Uuid> = deliveries.iter().map(|one| one.event_id).collect();
    let types: Vec<String> = deliveries
        .iter()
        .map(|one| one.event_type.clone())
        .collect();
    let positions: Vec<i64> = deliveries.iter().map(|one| one.feed_pos).collect();
    let due = sqlx::query!(
        "INSERT INTO webhook_deliveries AS d (delivery_id, endpoint_id, event_id, event_type, feed_pos, state,
             next_attempt_at, created_at)
         SELECT n.delivery_id, n.endpoint_id, n.event_id, n.event_type, n.feed_pos, 'PENDING', $6, $6
         FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::bigint[])
             AS n (delivery_id, endpoint_id, event_id, event_type, feed_pos)
         ON CONFLICT ON CONSTRAINT webhook_deliveries_event_key DO UPDATE
         SET state = 'PENDING', failures = 0, next_attempt_at = $6, last_error = '', created_at = $6, ended_at = NULL
         WHERE $7 AND d.lease_holder IS NULL",
        &ids,
        &endpoints,
        &events,
        &types,
        &positions,
        now,
        is_replay,
    )
    .execute(conn)
    .await?;
    Ok(due.rows_affected())
}

/// A delivery that the caller may send now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claimed {
    pub(crate) delivery_id: Uuid,
    pub(crate) endpoint_id: Uuid,
    pub(crate) event_id: Uuid,
    pub(crate) feed_pos: i64,
    /// Number of this attempt.
    pub(crate) attempt: i32,
    /// Failures before it.
    pub(crate) failures: i32,
}

/// Claims due deliveries, the longest due first: of each endpoint as many as it has places, and no more than `limit` in all.
pub(crate) async fn claim(
    conn: &mut PgConnection,
    places: &[(Uuid, i64)],
    (holder, until): (Uuid, OffsetDateTime),
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<Claimed>, StoreError> {
    let (endpoints, free): (Vec<Uuid>, Vec<i64>) = places.iter().copied().unzip();
    let claimed = sqlx::query_as!(
        Claimed,
        "WITH due AS MATERIALIZED (
             SELECT of_one.delivery_id
             FROM unnest($1::uuid[], $2::bigint[]) AS e (endpoint_id, free)
             CROSS JOIN LATERAL (
                 SELECT w.delivery_id FROM webhook_deliveries w
                 WHERE w.endpoint_id = e.endpoint_id AND w.state = 'PENDING' AND w.next_attempt_at <= $3
                 ORDER BY w.next_attempt_at LIMIT e.free FOR UPDATE SKIP LOCKED) AS of_one
             LIMIT $6)
         UPDATE webhook_deliveries d SET lease_holder = $4, next_attempt_at = $5, attempt = d.attempt + 1
         FROM due WHERE d.delivery_id = due.delivery_id
         RETURNING d.delivery_id, d.endpoint_id, d.event_id, d.feed_pos, d.attempt, d.failures",
        &endpoints,
        &free,
        now,
        holder,
        until,
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(claimed)
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settled<'a> {
    pub(crate) claimed: &'a Claimed,
    pub(crate) holder: Uuid,
    pub(crate) state: DeliveryState,
    pub(crate) next_attempt_at: OffsetDateTime,
    pub(crate) attempt: &'a Attempt,
    pub(crate) now: OffsetDateTime,
}

/// Writes the attempt and what follows from it. False, and nothing written, when another has claimed the delivery.
pub(crate) async fn settle(
    conn: &mut PgConnection,
    settled: &Settled<'_>,
) -> Result<bool, StoreError> {
    let (claimed, attempt) = (settled.claimed, settled.attempt);
    let is_failure = settled.state != DeliveryState::Delivered;
    let ended_at = (settled.state != DeliveryState::Pending).then_some(settled.now);
    let written = sqlx::query!(
        "UPDATE webhook_deliveries SET lease_holder = NULL, state = $4, next_attempt_at = $5, last_error = $6,
             ended_at = $7, failures = CASE WHEN $8 THEN failures + 1 ELSE 0 END
         WHERE delivery_id = $1 AND lease_holder = $2 AND attempt = $3",
        claimed.delivery_id,
        settled.holder,
        claimed.attempt,
        settled.state.as_str(),
        settled.next_attempt_at,
        attempt.error,
        ended_at,
        is_failure,
    )
    .execute(&mut *conn)
    .await?;
    if written.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query!(
        "INSERT INTO webhook_attempts (delivery_id, attempt, started_at, status_code, latency_ms, error, response_excerpt)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        claimed.delivery_id,
        claimed.attempt,
        attempt.started_at,
        attempt.status_code,
        attempt.latency_ms,
        attempt.error,
        attempt.excerpt,
    )
    .execute(conn)
    .await?;
    Ok(true)
}

/// Reads a delivery.
pub(crate) async fn load(
    conn: &mut PgConnection,
    delivery_id: Uuid,
) -> Result<Option<Delivery>, StoreError> {
    let row = sqlx::query_as!(
        DeliveryRow,
        "SELECT d.delivery_id, d.endpoint_id, event_id, event_type, feed_pos, d.state, attempt, failures,
             next_attempt_at, last_error, d.created_at, ended_at
         FROM webhook_deliveries d JOIN webhook_endpoints e ON e.endpoint_id = d.endpoint_id AND e.state <> 'DELETED'
         WHERE delivery_id = $1",
        delivery_id
    )
    .fetch_optional(conn)
    .await?;
    row.map(Delivery::try_from).transpose()
}

/// A page of deliveries, newest events first.
pub(crate) async fn list(
    conn: &mut PgConnection,
    filter: &DeliveryFilter,
    after: Option<(i64, Uuid)>,
    limit: i64,
) -> Result<Vec<Delivery>, StoreError> {
    let (after_pos, after_id) = after.unzip();
    // Each form has its index: one plan for all of them would not.
    let rows = match (filter.endpoint_id, filter.state) {
        (Some(endpoint_id), Some(state)) if filter.event_id.is_none() => {
            sqlx::query_as!(
                DeliveryRow,
                "SELECT delivery_id, endpoint_id, event_id, event_type, feed_pos, state, attempt, failures,
                     next_attempt_at, last_error, created_at, ended_at
                 FROM webhook_deliveries WHERE endpoint_id = $1 AND state = $2 AND feed_pos < coalesce($3, 9223372036854775807)
                 ORDER BY feed_pos DESC LIMIT $4",
                endpoint_id,
                state.as_str(),
                after_pos,
                limit,
            )
            .fetch_all(conn)
            .await?
        }
        (Some(endpoint_id), None) if filter.event_id.is_none() => {
            sqlx::query_as!(
                DeliveryRow,
                "SELECT delivery_id, endpoint_id, event_id, event_type, feed_pos, state, attempt, failures,
                     next_attempt_at, last_error, created_at, ended_at
                 FROM webhook_deliveries WHERE endpoint_id = $1 AND feed_pos < coalesce($2, 9223372036854775807)
                 ORDER BY feed_pos DESC LIMIT $3",
                endpoint_id,
                after_pos,
                limit,
            )
            .fetch_all(conn)
            .await?
        }
        (endpoint_id, state) => {
            sqlx::query_as!(
                DeliveryRow,
                "SELECT delivery_id, d.endpoint_id, event_id, event_type, feed_pos, d.state, attempt, failures,
                     next_attempt_at, last_error, d.created_at, ended_at
                 FROM webhook_deliveries d JOIN webhook_endpoints e ON e.endpoint_id = d.endpoint_id AND e.state <> 'DELETED'
                 WHERE event_id = $1 AND ($2::uuid IS NULL OR d.endpoint_id = $2) AND ($3::text IS NULL OR d.state = $3)
                     AND ($4::uuid IS NULL OR delivery_id > $4)
                 ORDER BY delivery_id LIMIT $5",
                filter.event_id,
                endpoint_id,
                state.map(DeliveryState::as_str),
                after_id,
                limit,
            )
            .fetch_all(conn)
            .await?
        }
    };
    rows.into_iter().map(Delivery::try_from).collect()
}

/// The last attempts of a delivery, oldest first.
pub(crate) async fn attempts(
    conn: &mut PgConnection,
    delivery_id: Uuid,
) -> Result<Vec<Attempt>, StoreError> {
    let mut attempts = sqlx::query_as!(
        Attempt,
        "SELECT attempt AS number, started_at, status_code, latency_ms, error, response_excerpt AS excerpt
         FROM webhook_attempts WHERE delivery_id = $1 ORDER BY attempt DESC LIMIT $2",
        delivery_id,
        ATTEMPTS_SHOWN
    )
    .fetch_all(conn)
    .await?;
    attempts.reverse();
    Ok(attempts)
}

/// Forgets deliveries made before a time, and those of endpoints that were deleted, at most so many of each, and secrets that
/// do not sign any more; answers how many deliveries.
pub(crate) async fn forget(
    conn: &mut PgConnection,
    before: OffsetDateTime,
    now: OffsetDateTime,
    limit: i64,
) -> Result<u64, StoreError> {
    sqlx::query!("DELETE FROM webhook_secrets WHERE expires_at <= $1", now)
        .execute(&mut *conn)
        .await?;
    let old = sqlx::query!(
        "DELETE FROM webhook_deliveries WHERE delivery_id IN (
             SELECT delivery_id FROM webhook_deliveries WHERE created_at < $1
             ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
        before,
        limit
    )
    .execute(&mut *conn)
    .await?
    .rows_affected();
    let deleted = sqlx::query!(
        "DELETE FROM webhook_deliveries WHERE delivery_id IN (
             SELECT d.delivery_id FROM webhook_endpoints e JOIN webhook_deliveries d ON d.endpoint_id = e.endpoint_id
             WHERE e.state = 'DELETED' LIMIT $1 FOR UPDATE OF d SKIP LOCKED)",
        limit
    )
    .execute(&mut *conn)
    .await?
    .rows_affected();
    sqlx::query!(
        "DELETE FROM webhook_endpoints e WHERE state = 'DELETED'
             AND NOT EXISTS (SELECT FROM webhook_deliveries d WHERE d.endpoint_id = e.endpoint_id)
             AND NOT EXISTS (SELECT FROM webhook_replays r WHERE r.endpoint_id = e.endpoint_id)",
    )
    .execute(conn)
    .await?;
    Ok(old + deleted)
}

/// The time at which the longest due delivery to an endpoint that works was due.
pub(crate) async fn oldest_due(
    conn: &mut PgConnection,
    now: OffsetDateTime,
) -> Result<Option<OffsetDateTime>, StoreError> {
    let oldest = sqlx::query_scalar!(
        "SELECT min(of_one.next_attempt_at) FROM webhook_endpoints e
         CROSS JOIN LATERAL (
             SELECT d.next_attempt_at FROM webhook_deliveries d
             WHERE d.endpoint_id = e.endpoint_id AND d.state = 'PENDING' AND d.next_attempt_at <= $1
             ORDER BY d.next_attempt_at LIMIT 1) AS of_one
         WHERE e.state = 'ENABLED' AND e.failing_since IS NULL",
        now
    )
    .fetch_one(conn)
    .await?;
    Ok(oldest)
}

struct DeliveryRow {
    delivery_id: Uuid,
    endpoint_id: Uuid,
    event_id: Uuid,
    event_type: String,
    feed_pos: i64,
    state: String,
    attempt: i32,
    failures: i32,
    next_attempt_at: OffsetDateTime,
    last_error: String,
    created_at: OffsetDateTime,
    ended_at: Option<OffsetDateTime>,
}

impl TryFrom<DeliveryRow> for Delivery {
    type Error = StoreError;

    fn try_from(row: DeliveryRow) -> Result<Self, StoreError> {
        let state = DeliveryState::parse(&row.state);
        let state = state.ok_or_else(|| {
            StoreError::inconsistent("webhook_deliveries", "state", row.delivery_id)
        })?;
        Ok(Self {
            delivery_id: row.delivery_id,
            endpoint_id: row.endpoint_id,
            event_id: row.event_id,
            event_type: row.event_type,
            feed_pos: row.feed_pos,
            state,
            attempt: row.attempt,
            failures: row.failures,
            next_attempt_at: row.next_attempt_at,
            last_error: row.last_error,
            created_at: row.created_at,
            ended_at: row.ended_at,
        })
    }
}
