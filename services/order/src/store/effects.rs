//! The effect ledger: what is asked of providers, written before it is tried.

use oms_core::{PaymentId, derive};
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::domain::payment::Payment;

use super::StoreError;

/// State of an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EffectState {
    /// Written down; nothing was sent.
    Planned,
    /// The call may have been made.
    Sent,
    /// The provider did it.
    Confirmed,
    /// The provider refused.
    Failed,
    /// It is not known what the provider did; to be asked by key.
    InDoubt,
}

impl EffectState {
    /// The name that the database uses.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "PLANNED",
            Self::Sent => "SENT",
            Self::Confirmed => "CONFIRMED",
            Self::Failed => "FAILED",
            Self::InDoubt => "IN_DOUBT",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [
            Self::Planned,
            Self::Sent,
            Self::Confirmed,
            Self::Failed,
            Self::InDoubt,
        ]
        .into_iter()
        .find(|state| state.as_str() == name)
    }
}

/// The key by which the provider recognizes a repeat: the id of the payment, which is derived from order,
/// kind and cause.
pub(crate) fn idempotency_key(payment_id: PaymentId) -> String {
    payment_id.to_string()
}

/// Writes the effect of a new payment in this state.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    payment: &Payment,
    request_hash: [u8; 32],
    state: EffectState,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO effects (effect_id, kind, idempotency_key, request_hash, state, provider, payment_id,
             attempts, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)",
        derive(payment.payment_id.uuid(), "effect"),
        payment.kind.as_str(),
        idempotency_key(payment.payment_id),
        request_hash.as_slice(),
        state.as_str(),
        payment.provider,
        payment.payment_id.uuid(),
        i32::from(state == EffectState::Sent),
        payment.created_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The state of a payment's effect.
pub(crate) async fn state(
    conn: &mut PgConnection,
    payment_id: PaymentId,
) -> Result<Option<EffectState>, StoreError> {
    let name = sqlx::query_scalar!(
        "SELECT state FROM effects WHERE payment_id = $1",
        payment_id.uuid()
    )
    .fetch_optional(conn)
    .await?;
    name.map(|name| {
        EffectState::parse(&name)
            .ok_or_else(|| StoreError::inconsistent("effects", "state", payment_id))
    })
    .transpose()
}

/// Takes the right to send: PLANNED becomes SENT. False when somebody else has taken it.
pub(crate) async fn mark_sent(
    conn: &mut PgConnection,
    payment_id: PaymentId,
    now: OffsetDateTime,
) -> Result<bool, StoreError> {
    move_from(
        conn,
        payment_id,
        &[EffectState::Planned],
        EffectState::Sent,
        now,
    )
    .await
}

/// Says that the answer is not known.
pub(crate) async fn mark_in_doubt(
    conn: &mut PgConnection,
    payment_id: PaymentId,
    now: OffsetDateTime,
) -> Result<bool, StoreError> {
    let from = [EffectState::Sent, EffectState::InDoubt];
    move_from(conn, payment_id, &from, EffectState::InDoubt, now).await
}

/// Says that the provider has never seen it, so that it may be sent.
pub(crate) async fn mark_planned_again(
    conn: &mut PgConnection,
    payment_id: PaymentId,
    now: OffsetDateTime,
) -> Result<bool, StoreError> {
    let from = [EffectState::InDoubt];
    move_from(conn, payment_id, &from, EffectState::Planned, now).await
}

async fn move_from(
    conn: &mut PgConnection,
    payment_id: PaymentId,
    from: &[EffectState],
    to: EffectState,
    now: OffsetDateTime,
) -> Result<bool, StoreError> {
    let from: Vec<String> = from.iter().map(|state| state.as_str().to_owned()).collect();
    let moved = sqlx::query!(
        "UPDATE effects SET state = $3, updated_at = $4,
             attempts = attempts + CASE WHEN $3 = 'SENT' THEN 1 ELSE 0 END
         WHERE payment_id = $1 AND state = ANY($2)",
        payment_id.uuid(),
        &from,
        to.as_str(),
        now
    )
    .execute(conn)
    .await?;
    Ok(moved.rows_affected() == 1)
}

/// Writes what the provider said: CONFIRMED with its reference, or FAILED with its code.
pub(crate) async fn settle(
    conn: &mut PgConnection,
    payment_id: PaymentId,
    state: EffectState,
    provider_reference: &str,
    failure_code: &str,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE effects SET state = $2, provider_reference = $3, failure_code = $4, updated_at = $5
         WHERE payment_id = $1 AND state NOT IN ('CONFIRMED', 'FAILED')",
        payment_id.uuid(),
        state.as_str(),
        provider_reference,
        failure_code,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes effects that were sent before a time and are not settled, and puts them in doubt. Setting their
/// time keeps other reconcilers off them for as long again.
pub(crate) async fn claim_unsettled(
    conn: &mut PgConnection,
    sent_before: OffsetDateTime,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<PaymentId>, StoreError> {
    let ids = sqlx::query_scalar!(
        "UPDATE effects SET state = 'IN_DOUBT', updated_at = $2
         WHERE effect_id IN (SELECT effect_id FROM effects
             WHERE state IN ('SENT', 'IN_DOUBT') AND updated_at < $1
             ORDER BY updated_at LIMIT $3 FOR UPDATE SKIP LOCKED)
         RETURNING payment_id",
        sent_before,
        now,
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(ids.into_iter().map(PaymentId::new).collect())
}
