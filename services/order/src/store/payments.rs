//! The payment ledger.

use oms_core::{OrderId, PaymentId};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::payment::{Payment, PaymentKind, PaymentState};
use crate::domain::status::MoneyFacts;

use super::StoreError;

/// Writes a new transaction. False when its order has one of this kind and cause.
pub(crate) async fn insert(conn: &mut PgConnection, payment: &Payment) -> Result<bool, StoreError> {
    let inserted = sqlx::query!(
        "INSERT INTO payments (payment_id, order_id, kind, state, amount, currency, tender, provider,
             provider_reference, parent_payment_id, cause, failure_code, actor, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
         ON CONFLICT ON CONSTRAINT payments_cause_key DO NOTHING",
        payment.payment_id.uuid(),
        payment.order_id.uuid(),
        payment.kind.as_str(),
        payment.state.as_str(),
        payment.amount,
        payment.currency.code(),
        payment.tender,
        payment.provider,
        payment.provider_reference,
        payment.parent_payment_id.map(PaymentId::uuid),
        payment.cause,
        payment.failure_code,
        payment.actor,
        payment.created_at,
        payment.updated_at,
    )
    .execute(conn)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Moves a transaction that is not settled. False when it is settled already.
pub(crate) async fn set_state(
    conn: &mut PgConnection,
    payment: &Payment,
) -> Result<bool, StoreError> {
    let moved = sqlx::query!(
        "UPDATE payments SET state = $2, provider_reference = $3, failure_code = $4, updated_at = $5, expires_at = $6
         WHERE payment_id = $1 AND state NOT IN ('SUCCEEDED', 'FAILED')",
        payment.payment_id.uuid(),
        payment.state.as_str(),
        payment.provider_reference,
        payment.failure_code,
        payment.updated_at,
        payment.expires_at,
    )
    .execute(conn)
    .await?;
    Ok(moved.rows_affected() == 1)
}

/// Reads a transaction.
pub(crate) async fn load(
    conn: &mut PgConnection,
    payment_id: PaymentId,
) -> Result<Option<Payment>, StoreError> {
    let row = sqlx::query_as!(
        PaymentRow,
        "SELECT payment_id, order_id, kind, state, amount, currency, tender, provider, provider_reference,
             parent_payment_id, cause, failure_code, expires_at, actor, created_at, updated_at
         FROM payments WHERE payment_id = $1",
        payment_id.uuid()
    )
    .fetch_optional(conn)
    .await?;
    row.map(Payment::try_from).transpose()
}

/// The transaction of an order, kind and cause.
pub(crate) async fn find(
    conn: &mut PgConnection,
    order_id: OrderId,
    kind: PaymentKind,
    cause: &str,
) -> Result<Option<Payment>, StoreError> {
    let row = sqlx::query_as!(
        PaymentRow,
        "SELECT payment_id, order_id, kind, state, amount, currency, tender, provider, provider_reference,
             parent_payment_id, cause, failure_code, expires_at, actor, created_at, updated_at
         FROM payments WHERE order_id = $1 AND kind = $2 AND cause = $3",
        order_id.uuid(),
        kind.as_str(),
        cause
    )
    .fetch_optional(conn)
    .await?;
    row.map(Payment::try_from).transpose()
}

/// The transactions of an order, oldest first.
pub(crate) async fn list(
    conn: &mut PgConnection,
    order_id: OrderId,
) -> Result<Vec<Payment>, StoreError> {
    let rows = sqlx::query_as!(
        PaymentRow,
        "SELECT payment_id, order_id, kind, state, amount, currency, tender, provider, provider_reference,
             parent_payment_id, cause, failure_code, expires_at, actor, created_at, updated_at
         FROM payments WHERE order_id = $1 ORDER BY created_at, tender, payment_id",
        order_id.uuid()
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Payment::try_from).collect()
}

/// The transactions of these orders that have no answer, oldest first.
pub(crate) async fn list_open(
    conn: &mut PgConnection,
    orders: &[OrderId],
) -> Result<Vec<Payment>, StoreError> {
    let orders: Vec<Uuid> = orders.iter().map(|order_id| order_id.uuid()).collect();
    let rows = sqlx::query_as!(
        PaymentRow,
        "SELECT payment_id, order_id, kind, state, amount, currency, tender, provider, provider_reference,
             parent_payment_id, cause, failure_code, expires_at, actor, created_at, updated_at
         FROM payments WHERE order_id = ANY($1) AND state NOT IN ('SUCCEEDED', 'FAILED')
         ORDER BY created_at, tender, payment_id",
        &orders
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Payment::try_from).collect()
}

/// Sums of an order's succeeded transactions, as [`crate::domain::order::Order::money`] holds them.
pub(crate) async fn money(
    conn: &mut PgConnection,
    order_id: OrderId,
) -> Result<MoneyFacts, StoreError> {
    let row = sqlx::query!(
        r#"SELECT
             coalesce(sum(amount) FILTER (WHERE kind = 'AUTHORIZATION'), 0)::int8 AS "authorized!",
             coalesce(sum(amount) FILTER (WHERE kind = 'CAPTURE'), 0)::int8 AS "captured!",
             coalesce(sum(amount) FILTER (WHERE kind = 'VOID'), 0)::int8 AS "voided!",
             coalesce(sum(amount) FILTER (WHERE kind = 'REFUND'), 0)::int8 AS "refunded!"
         FROM payments WHERE order_id = $1 AND state = 'SUCCEEDED'"#,
        order_id.uuid()
    )
    .fetch_one(conn)
    .await?;
    Ok(MoneyFacts::from_sums(&[
        row.authorized,
        row.captured,
        row.voided,
        row.refunded,
    ]))
}

/// Whether one of these tasks is not done: it waits for its turn, or for a person.
pub(crate) async fn has_open_task(
    conn: &mut PgConnection,
    tasks: &[Uuid],
) -> Result<bool, StoreError> {
    let open = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM tasks WHERE id = ANY($1) AND state <> 'DONE') AS "open!""#,
        tasks
    )
    .fetch_one(conn)
    .await?;
    Ok(open)
}

struct PaymentRow {
    payment_id: Uuid,
    order_id: Uuid,
    kind: String,
    state: String,
    amount: i64,
    currency: String,
    tender: i32,
    provider: String,
    provider_reference: String,
    parent_payment_id: Option<Uuid>,
    cause: String,
    failure_code: String,
    expires_at: Option<OffsetDateTime>,
    actor: String,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl TryFrom<PaymentRow> for Payment {
    type Error = StoreError;

    fn try_from(row: PaymentRow) -> Result<Self, StoreError> {
        let unknown = |column| StoreError::inconsistent("payments", column, row.payment_id);
        Ok(Self {
            payment_id: PaymentId::new(row.payment_id),
            order_id: OrderId::new(row.order_id),
            kind: PaymentKind::parse(&row.kind).ok_or_else(|| unknown("kind"))?,
            state: PaymentState::parse(&row.state).ok_or_else(|| unknown("state"))?,
            amount: row.amount,
            currency: row.currency.parse().map_err(|_| unknown("currency"))?,
            tender: row.tender,
            provider: row.provider,
            provider_reference: row.provider_reference,
            parent_payment_id: row.parent_payment_id.map(PaymentId::new),
            cause: row.cause,
            failure_code: row.failure_code,
            expires_at: row.expires_at,
            actor: row.actor,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}
