//! The ledger of effects.

use oms_core::{OrderId, ShipmentId};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::effect::{EffectKind, EffectState};

use super::StoreError;

/// An effect as planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewEffect {
    /// Id.
    pub(crate) id: Uuid,
    /// What is asked for.
    pub(crate) kind: EffectKind,
    /// Name by which the carrier knows the request.
    pub(crate) idempotency_key: String,
    /// SHA-256 of what is asked for.
    pub(crate) request_hash: [u8; 32],
    /// Label it is about.
    pub(crate) label_id: Uuid,
    /// Carrier that is asked.
    pub(crate) carrier_id: String,
    /// Trace that it belongs to.
    pub(crate) traceparent: String,
    /// Who caused it.
    pub(crate) actor: String,
    /// When the reconciler looks at it, should its maker die.
    pub(crate) look_at: OffsetDateTime,
}

/// An effect as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Effect {
    /// Id.
    pub(crate) id: Uuid,
    /// What is asked for.
    pub(crate) kind: EffectKind,
    /// Name by which the carrier knows the request.
    pub(crate) idempotency_key: String,
    /// State.
    pub(crate) state: EffectState,
    /// Label it is about.
    pub(crate) label_id: Uuid,
    /// Shipment of the label.
    pub(crate) shipment_id: ShipmentId,
    /// Order of the shipment.
    pub(crate) order_id: OrderId,
    /// Carrier that is asked.
    pub(crate) carrier_id: String,
    /// Claims so far.
    pub(crate) attempt: i32,
    /// End of the claim, or when to look at it again.
    pub(crate) next_run_at: OffsetDateTime,
    /// Trace that it belongs to.
    pub(crate) traceparent: String,
    /// Who caused it.
    pub(crate) actor: String,
    /// When it was planned.
    pub(crate) created_at: OffsetDateTime,
}

/// Writes an intent.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    effect: &NewEffect,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO effects (effect_id, kind, idempotency_key, request_hash, state, label_id, carrier_id,
             next_run_at, traceparent, actor, created_at, updated_at)
         VALUES ($1, $2, $3, $4, 'PLANNED', $5, $6, $7, $8, $9, $10, $10)",
        effect.id,
        effect.kind.as_str(),
        effect.idempotency_key,
        effect.request_hash.as_slice(),
        effect.label_id,
        effect.carrier_id,
        effect.look_at,
        effect.traceparent,
        effect.actor,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Reads an effect.
pub(crate) async fn load(
    conn: &mut PgConnection,
    effect_id: Uuid,
) -> Result<Option<Effect>, StoreError> {
    let row = sqlx::query!(
        "SELECT e.effect_id, e.kind, e.idempotency_key, e.state, e.label_id, l.shipment_id, s.order_id,
             e.carrier_id, e.attempt, e.next_run_at, e.traceparent, e.actor,
             e.created_at
         FROM effects e JOIN labels l USING (label_id) JOIN shipments s USING (shipment_id)
         WHERE e.effect_id = $1",
        effect_id
    )
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let unknown = |column| StoreError::inconsistent("effects", column, effect_id);
    Ok(Some(Effect {
        id: row.effect_id,
        kind: EffectKind::parse(&row.kind).ok_or_else(|| unknown("kind"))?,
        idempotency_key: row.idempotency_key,
        state: EffectState::parse(&row.state).ok_or_else(|| unknown("state"))?,
        label_id: row.label_id,
        shipment_id: ShipmentId::new(row.shipment_id),
        order_id: OrderId::new(row.order_id),
        carrier_id: row.carrier_id,
        attempt: row.attempt,
        next_run_at: row.next_run_at,
        traceparent: row.traceparent,
        actor: row.actor,
        created_at: row.created_at,
    }))
}

/// Claims an effect that is as it was read. `false` when somebody else was faster.
pub(crate) async fn claim(
    conn: &mut PgConnection,
    effect: &Effect,
    to: EffectState,
    until: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<bool, StoreError> {
    let claimed = sqlx::query!(
        "UPDATE effects SET state = $4, attempt = attempt + 1, next_run_at = $5, updated_at = $6
         WHERE effect_id = $1 AND state = $2 AND attempt = $3",
        effect.id,
        effect.state.as_str(),
        effect.attempt,
        to.as_str(),
        until,
        now,
    )
    .execute(conn)
    .await?;
    Ok(claimed.rows_affected() == 1)
}

/// Ends a claim. `false` when the claim ran out and somebody else has the effect now: the answer must
/// be dropped.
pub(crate) async fn settle(
    conn: &mut PgConnection,
    effect: &Effect,
    to: EffectState,
    answer: &Answer<'_>,
    now: OffsetDateTime,
) -> Result<bool, StoreError> {
    let settled = sqlx::query!(
        "UPDATE effects SET state = $3, carrier_reference = $4, failure = $5, next_run_at = $6,
             updated_at = $7
         WHERE effect_id = $1 AND attempt = $2 AND state IN ('SENT', 'IN_DOUBT')",
        effect.id,
        effect.attempt,
        to.as_str(),
        answer.carrier_reference,
        answer.failure,
        answer.look_at,
        now,
    )
    .execute(conn)
    .await?;
    Ok(settled.rows_affected() == 1)
}

/// What is written when a claim ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer<'a> {
    /// Name of the result at the carrier; empty when none.
    pub(crate) carrier_reference: &'a str,
    /// Why it was refused or is in doubt; empty otherwise.
    pub(crate) failure: &'a str,
    /// When to look again, as long as it is open.
    pub(crate) look_at: OffsetDateTime,
}

/// Open effects whose time has come, the longest waiting first.
pub(crate) async fn due(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<Uuid>, StoreError> {
    let ids = sqlx::query_scalar!(
        "SELECT effect_id FROM effects
         WHERE state IN ('PLANNED', 'SENT', 'IN_DOUBT') AND next_run_at <= $1
         ORDER BY next_run_at LIMIT $2",
        now,
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(ids)
}

/// Effects that are not settled, in one state.
#[derive(Debug)]
pub(crate) struct Open {
    /// The state.
    pub(crate) state: String,
    /// How many, up to 10 000.
    pub(crate) count: i64,
    /// When the oldest of them was planned.
    pub(crate) oldest: OffsetDateTime,
}

/// Effects that are not settled, by state.
pub(crate) async fn open(conn: &mut PgConnection) -> Result<Vec<Open>, StoreError> {
    let rows = sqlx::query_as!(
        Open,
        r#"SELECT state AS "state!", count(*) AS "count!", min(created_at) AS "oldest!"
           FROM (SELECT state, created_at FROM effects
                 WHERE state IN ('PLANNED', 'SENT', 'IN_DOUBT') ORDER BY next_run_at LIMIT 10000) open
           GROUP BY state"#
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}
