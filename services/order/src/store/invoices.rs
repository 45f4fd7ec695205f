//! Invoices and credit memos with their lines.

use std::collections::HashMap;

use oms_core::{InvoiceId, OrderId, OrderLineId};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::invoice::{Invoice, InvoiceKind, InvoiceLine};
use crate::domain::pricing::Part;

use super::StoreError;

/// Writes an invoice. False when the order has one of this kind and cause.
pub(crate) async fn insert(conn: &mut PgConnection, invoice: &Invoice) -> Result<bool, StoreError> {
    let inserted = sqlx::query!(
        "INSERT INTO invoices (invoice_id, order_id, kind, cause, currency, total, created_at, due_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT ON CONSTRAINT invoices_cause_key DO NOTHING",
        invoice.invoice_id.uuid(),
        invoice.order_id.uuid(),
        invoice.kind.as_str(),
        invoice.cause,
        invoice.currency.code(),
        invoice.total,
        invoice.created_at,
        invoice.due_at,
    )
    .execute(&mut *conn)
    .await?;
    if inserted.rows_affected() == 0 {
        return Ok(false);
    }
    let lines = &invoice.lines;
    let column = |value: fn(&InvoiceLine) -> i64| -> Vec<i64> { lines.iter().map(value).collect() };
    let order_lines: Vec<Option<Uuid>> = lines
        .iter()
        .map(|line| line.order_line_id.map(OrderLineId::uuid))
        .collect();
    sqlx::query!(
        "INSERT INTO invoice_lines (invoice_id, line_number, order_line_id, from_unit, quantity, net, tax,
             shipping, total)
         SELECT $1, l.place::int4, l.order_line_id, l.from_unit, l.quantity, l.net, l.tax, l.shipping,
             l.total
         FROM unnest($2::uuid[], $3::int8[], $4::int8[], $5::int8[], $6::int8[], $7::int8[], $8::int8[])
             WITH ORDINALITY AS l (order_line_id, from_unit, quantity, net, tax, shipping, total, place)",
        invoice.invoice_id.uuid(),
        &order_lines as &[Option<Uuid>],
        &column(|line| line.from_unit),
        &column(|line| line.quantity),
        &column(|line| line.part.net),
        &column(|line| line.part.tax),
        &column(|line| line.part.shipping),
        &column(|line| line.part.total),
    )
    .execute(conn)
    .await?;
    Ok(true)
}

/// Reads an invoice.
pub(crate) async fn load(
    conn: &mut PgConnection,
    invoice_id: InvoiceId,
) -> Result<Option<Invoice>, StoreError> {
    let row = sqlx::query_as!(
        InvoiceRow,
        "SELECT invoice_id, invoice_number, order_id, kind, cause, currency, total, created_at, due_at
         FROM invoices WHERE invoice_id = $1",
        invoice_id.uuid()
    )
    .fetch_all(&mut *conn)
    .await?;
    Ok(with_lines(conn, row).await?.pop())
}

/// The invoice of an order, kind and cause.
pub(crate) async fn find(
    conn: &mut PgConnection,
    order_id: OrderId,
    kind: InvoiceKind,
    cause: &str,
) -> Result<Option<Invoice>, StoreError> {
    let row = sqlx::query_as!(
        InvoiceRow,
        "SELECT invoice_id, invoice_number, order_id, kind, cause, currency, total, created_at, due_at
         FROM invoices WHERE order_id = $1 AND kind = $2 AND cause = $3",
        order_id.uuid(),
        kind.as_str(),
        cause
    )
    .fetch_all(&mut *conn)
    .await?;
    Ok(with_lines(conn, row).await?.pop())
}

/// The invoices of an order, oldest first.
pub(crate) async fn list(
    conn: &mut PgConnection,
    order_id: OrderId,
) -> Result<Vec<Invoice>, StoreError> {
    let rows = sqlx::query_as!(
        InvoiceRow,
        "SELECT invoice_id, invoice_number, order_id, kind, cause, currency, total, created_at, due_at
         FROM invoices WHERE order_id = $1 ORDER BY created_at, invoice_id",
        order_id.uuid()
    )
    .fetch_all(&mut *conn)
    .await?;
    with_lines(conn, rows).await
}

/// Units of each line that credit memos of the order took back.
pub(crate) async fn credited(
    conn: &mut PgConnection,
    order_id: OrderId,
) -> Result<HashMap<OrderLineId, i64>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT l.order_line_id AS "order_line_id!", sum(l.quantity)::int8 AS "quantity!"
         FROM invoices i JOIN invoice_lines l ON l.invoice_id = i.invoice_id
         WHERE i.order_id = $1 AND i.kind = 'CREDIT_MEMO' AND l.order_line_id IS NOT NULL
         GROUP BY l.order_line_id"#,
        order_id.uuid()
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (OrderLineId::new(row.order_line_id), row.quantity))
        .collect())
}

/// Gives an invoice the next number of its kind, without a gap: the counter is locked until the
/// transaction ends. False when it has one.
pub(crate) async fn give_number(
    conn: &mut PgConnection,
    invoice_id: InvoiceId,
    kind: InvoiceKind,
) -> Result<bool, StoreError> {
    let number = sqlx::query_scalar!(
        "SELECT invoice_number FROM invoices WHERE invoice_id = $1 FOR UPDATE",
        invoice_id.uuid()
    )
    .fetch_optional(&mut *conn)
    .await?;
    if number.is_none_or(|number| !number.is_empty()) {
        return Ok(false);
    }
    let count = sqlx::query_scalar!(
        "UPDATE invoice_counter SET last_number = last_number + 1 WHERE kind = $1 RETURNING last_number",
        kind.as_str()
    )
    .fetch_one(&mut *conn)
    .await?;
    sqlx::query!(
        "UPDATE invoices SET invoice_number = $2 WHERE invoice_id = $1",
        invoice_id.uuid(),
        kind.number(count)
    )
    .execute(conn)
    .await?;
    Ok(true)
}

struct InvoiceRow {
    invoice_id: Uuid,
    invoice_number: String,
    order_id: Uuid,
    kind: String,
    cause: String,
    currency: String,
    total: i64,
    created_at: OffsetDateTime,
    due_at: Option<OffsetDateTime>,
}

async fn with_lines(
    conn: &mut PgConnection,
    rows: Vec<InvoiceRow>,
) -> Result<Vec<Invoice>, StoreError> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.invoice_id).collect();
    let lines = sqlx::query!(
        "SELECT invoice_id, order_line_id, from_unit, quantity, net, tax, shipping, total
         FROM invoice_lines WHERE invoice_id = ANY($1) ORDER BY invoice_id, line_number",
        &ids
    )
    .fetch_all(conn)
    .await?;
    let mut by_invoice: HashMap<Uuid, Vec<InvoiceLine>> = HashMap::new();
    for row in lines {
        by_invoice
            .entry(row.invoice_id)
            .or_default()
            .push(InvoiceLine {
                order_line_id: row.order_line_id.map(OrderLineId::new),
                from_unit: row.from_unit,
                quantity: row.quantity,
                part: Part {
                    net: row.net,
                    tax: row.tax,
                    shipping: row.shipping,
                    total: row.total,
                },
            });
    }
    rows.into_iter()
        .map(|row| {
            let unknown = |column| StoreError::inconsistent("invoices", column, row.invoice_id);
            Ok(Invoice {
                invoice_id: InvoiceId::new(row.invoice_id),
                order_id: OrderId::new(row.order_id),
                kind: InvoiceKind::parse(&row.kind).ok_or_else(|| unknown("kind"))?,
                currency: row.currency.parse().map_err(|_| unknown("currency"))?,
                lines: by_invoice.remove(&row.invoice_id).unwrap_or_default(),
                number: row.invoice_number,
                cause: row.cause,
                total: row.total,
                created_at: row.created_at,
                due_at: row.due_at,
            })
        })
        .collect()
}
