//! Free texts of a subject's orders, which may tell of a person.

use oms_core::OrderId;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::erasure::Subject;

use super::StoreError;

/// Locks the subject's orders, in one order, so that two who lock many cannot lock each other out.
pub(crate) async fn lock_orders(
    conn: &mut PgConnection,
    subject: &Subject,
) -> Result<(), StoreError> {
    let (customer_id, order_id) = subject.columns();
    sqlx::query!(
        "SELECT FROM orders WHERE (customer_id = $1 AND customer_id <> '') OR order_id = $2
         ORDER BY order_id FOR NO KEY UPDATE",
        customer_id,
        order_id
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Some of the subject's orders that still need an address: not ended, on their way back, or with a saga at work.
pub(crate) async fn open_orders(
    conn: &mut PgConnection,
    subject: &Subject,
    limit: i64,
) -> Result<Vec<OrderId>, StoreError> {
    let (customer_id, order_id) = subject.columns();
    let open = sqlx::query_scalar!(
        "SELECT o.order_id FROM orders o
         WHERE ((o.customer_id = $1 AND o.customer_id <> '') OR o.order_id = $2)
             AND (o.state IN ('PENDING', 'CONFIRMED')
                 OR EXISTS (SELECT FROM sagas s WHERE s.order_id = o.order_id AND s.state <> 'DONE')
                 OR EXISTS (SELECT FROM order_lines l
                     WHERE l.order_id = o.order_id AND l.return_requested > l.returned))
         ORDER BY o.created_at, o.order_id LIMIT $3",
        customer_id,
        order_id,
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(open.into_iter().map(OrderId::new).collect())
}

/// Channels of the subject's orders, in the order of their ids.
pub(crate) async fn channels(
    conn: &mut PgConnection,
    subject: &Subject,
) -> Result<Vec<String>, StoreError> {
    let (customer_id, order_id) = subject.columns();
    let mut found = sqlx::query_scalar!(
        "SELECT DISTINCT channel_id FROM orders
         WHERE (customer_id = $1 AND customer_id <> '') OR order_id = $2",
        customer_id,
        order_id
    )
    .fetch_all(conn)
    .await?;
    found.sort_unstable();
    Ok(found)
}

/// Clears instructions, gift messages, custom fields, notes and reasons of the subject's orders. Rows of before hold notes of
/// people in the ledger of steps, too, after the name of who wrote them.
pub(crate) async fn clear(conn: &mut PgConnection, subject: &Subject) -> Result<(), StoreError> {
    let (customer_id, order_id) = subject.columns();
    sqlx::query!(
        "WITH theirs AS (
             SELECT order_id FROM orders WHERE (customer_id = $1 AND customer_id <> '') OR order_id = $2),
         of_lines AS (
             UPDATE order_lines SET gift_message = '', custom_fields = '{}'
             WHERE order_id IN (SELECT order_id FROM theirs) AND (gift_message <> '' OR custom_fields <> '{}')),
         of_holds AS (
             UPDATE holds SET note = '' WHERE order_id IN (SELECT order_id FROM theirs) AND note <> ''),
         of_cancellations AS (
             UPDATE cancellations SET note = '' WHERE order_id IN (SELECT order_id FROM theirs) AND note <> ''),
         of_timeline AS (
             UPDATE timeline SET detail = '' WHERE order_id IN (SELECT order_id FROM theirs) AND detail <> ''
                 AND action IN ('place_hold', 'release_hold', 'request_refund', 'retry_exception', 'skip_exception',
                     'override_exception')),
         of_steps AS (
             UPDATE saga_steps SET detail = '' WHERE order_id IN (SELECT order_id FROM theirs)
                 AND detail ~ '^(user|partner|service):.*: ')
         UPDATE orders SET instructions = '', custom_fields = '{}'
         WHERE order_id IN (SELECT order_id FROM theirs) AND (instructions <> '' OR custom_fields <> '{}')",
        customer_id,
        order_id
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Tells of the erasure in the timelines of the subject's orders, which this transaction has locked.
pub(crate) async fn tell(
    conn: &mut PgConnection,
    subject: &Subject,
    actor: &str,
    now: OffsetDateTime,
    trace_id: &str,
    linked_trace_id: &str,
) -> Result<(), StoreError> {
    let (customer_id, order_id) = subject.columns();
    sqlx::query!(
        "WITH told AS (
             UPDATE orders SET timeline_sequence = timeline_sequence + 1
             WHERE (customer_id = $1 AND customer_id <> '') OR order_id = $2
             RETURNING order_id, timeline_sequence)
         INSERT INTO timeline (order_id, sequence, occurred_at, actor, action, detail, trace_id, linked_trace_id)
         SELECT order_id, timeline_sequence, $3, $4, 'erase_customer', 'addresses and free texts', $5, $6 FROM told",
        customer_id,
        order_id,
        now,
        actor,
        trace_id,
        linked_trace_id
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Subjects whose key is in use, of whose orders none has changed since that time; after a key, in the order of keys.
pub(crate) async fn silent_since(
    conn: &mut PgConnection,
    before: OffsetDateTime,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<(Uuid, Subject)>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT k.key_id, k.customer_id, k.order_id FROM data_keys k
         WHERE k.wrapped IS NOT NULL AND k.created_at < $1 AND ($2::uuid IS NULL OR k.key_id > $2)
             AND NOT EXISTS (SELECT FROM orders o
                 WHERE k.customer_id <> '' AND o.customer_id = k.customer_id AND o.updated_at >= $1)
             AND NOT EXISTS (SELECT FROM orders o WHERE o.order_id = k.order_id AND o.updated_at >= $1)
         ORDER BY k.key_id LIMIT $3"#,
        before,
        after,
        limit
    )
    .fetch_all(conn)
    .await?;
    let subject = |order_id: Option<Uuid>, customer_id: String| match order_id {
        Some(order_id) => Subject::Order(OrderId::new(order_id)),
        None => Subject::Customer(customer_id),
    };
    let found = rows
        .into_iter()
        .map(|row| (row.key_id, subject(row.order_id, row.customer_id)));
    Ok(found.collect())
}
