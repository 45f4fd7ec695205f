//! Returns with their lines.

use std::collections::HashMap;

use oms_core::{LocationId, OrderId, OrderLineId, ReturnId, ShipmentId};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::returns::{RefundTiming, Return, ReturnLine};
use crate::domain::state::ReturnState;

use super::StoreError;

/// Locks an order's returns against each other until the transaction ends.
pub(crate) async fn lock_order(
    conn: &mut PgConnection,
    order_id: OrderId,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO order_locks (order_id) VALUES ($1)
         ON CONFLICT ON CONSTRAINT order_locks_pkey DO UPDATE SET order_id = EXCLUDED.order_id",
        order_id.uuid()
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Units of an order's lines that are in returns which were not declined or canceled.
pub(crate) async fn advised_by_line(
    conn: &mut PgConnection,
    order_id: OrderId,
) -> Result<HashMap<OrderLineId, i64>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT l.order_line_id, sum(l.advised)::int8 AS "advised!"
         FROM return_lines l JOIN returns r ON r.return_id = l.return_id
         WHERE r.order_id = $1 AND r.state NOT IN ('DECLINED', 'CANCELED')
         GROUP BY l.order_line_id"#,
        order_id.uuid()
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (OrderLineId::new(row.order_line_id), row.advised))
        .collect())
}

/// Writes a new return with its lines.
pub(crate) async fn insert(conn: &mut PgConnection, ret: &Return) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO returns (return_id, order_id, order_number, channel_id, state, refund_timing,
             location_id, origin_address_id, origin_country_code, origin_postal_code, currency, version,
             requested_by, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
        ret.return_id.uuid(),
        ret.order_id.uuid(),
        ret.order_number,
        ret.channel_id,
        ret.state.as_str(),
        ret.refund_timing.as_str(),
        ret.location_id.as_str(),
        ret.origin_address_id,
        ret.origin_country_code,
        ret.origin_postal_code,
        ret.currency,
        ret.version,
        ret.requested_by,
        ret.created_at,
        ret.updated_at,
    )
    .execute(&mut *conn)
    .await?;
    insert_lines(conn, ret).await
}

async fn insert_lines(conn: &mut PgConnection, ret: &Return) -> Result<(), StoreError> {
    let lines = &ret.lines;
    sqlx::query!(
        "INSERT INTO return_lines (return_id, return_line_id, line_number, order_line_id, sku, name,
             reason, advised)
         SELECT $1, * FROM unnest($2::uuid[], $3::int4[], $4::uuid[], $5::text[], $6::text[],
             $7::text[], $8::int8[])",
        ret.return_id.uuid(),
        &lines.iter().map(|line| line.return_line_id).collect::<Vec<_>>(),
        &lines.iter().map(|line| line.line_number).collect::<Vec<_>>(),
        &lines.iter().map(|line| line.order_line_id.uuid()).collect::<Vec<_>>(),
        &lines.iter().map(|line| line.sku.clone()).collect::<Vec<_>>(),
        &lines.iter().map(|line| line.name.clone()).collect::<Vec<_>>(),
        &lines.iter().map(|line| line.reason.clone()).collect::<Vec<_>>(),
        &lines.iter().map(|line| line.advised).collect::<Vec<_>>(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes what may change of a return and its lines. The caller holds its lock.
pub(crate) async fn save(conn: &mut PgConnection, ret: &Return) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE returns SET state = $2, shipment_id = $3, tracking_number = $4, refunded = $5,
             reason = $6, version = $7, updated_at = $8
         WHERE return_id = $1",
        ret.return_id.uuid(),
        ret.state.as_str(),
        ret.shipment_id.map(ShipmentId::uuid),
        ret.tracking_number,
        ret.refunded,
        ret.reason,
        ret.version,
        ret.updated_at,
    )
    .execute(&mut *conn)
    .await?;
    let column = |of: fn(&ReturnLine) -> i64| ret.lines.iter().map(of).collect::<Vec<_>>();
    sqlx::query!(
        "UPDATE return_lines l SET condition = n.condition, received = n.received,
             inspected = n.inspected, restocked = n.restocked, quarantined = n.quarantined,
             scrapped = n.scrapped, refund_triggered = n.refund_triggered,
             refund_paid = n.refund_paid, refund_denied = n.refund_denied
         FROM unnest($1::uuid[], $2::text[], $3::int8[], $4::int8[], $5::int8[], $6::int8[],
             $7::int8[], $8::int8[], $9::int8[], $10::int8[])
             AS n (return_line_id, condition, received, inspected, restocked, quarantined, scrapped,
                 refund_triggered, refund_paid, refund_denied)
         WHERE l.return_line_id = n.return_line_id",
        &ret.lines
            .iter()
            .map(|line| line.return_line_id)
            .collect::<Vec<_>>(),
        &ret.lines
            .iter()
            .map(|line| line.condition.clone())
            .collect::<Vec<_>>(),
        &column(|line| line.received),
        &column(|line| line.inspected),
        &column(|line| line.restocked),
        &column(|line| line.quarantined),
        &column(|line| line.scrapped),
        &column(|line| line.refund_triggered),
        &column(|line| line.refund_paid),
        &column(|line| line.refund_denied),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Locks a return against every other writer and reads it.
pub(crate) async fn lock(
    conn: &mut PgConnection,
    return_id: ReturnId,
) -> Result<Option<Return>, StoreError> {
    let locked = sqlx::query_scalar!(
        "SELECT return_id FROM returns WHERE return_id = $1 FOR NO KEY UPDATE",
        return_id.uuid()
    )
    .fetch_optional(&mut *conn)
    .await?;
    match locked {
        // A second statement reads what the former holder of the lock committed.
        Some(_) => load(conn, return_id).await,
        None => Ok(None),
    }
}

/// Reads a return.
pub(crate) async fn load(
    conn: &mut PgConnection,
    return_id: ReturnId,
) -> Result<Option<Return>, StoreError> {
    Ok(load_many(conn, &[return_id.uuid()]).await?.pop())
}

/// Reads returns with their lines in two statements, in the order of the ids.
pub(crate) async fn load_many(
    conn: &mut PgConnection,
    return_ids: &[Uuid],
) -> Result<Vec<Return>, StoreError> {
    let rows = sqlx::query_as!(
        ReturnRow,
        "SELECT r.return_id, order_id, order_number, channel_id, state, refund_timing, location_id,
             origin_address_id, origin_country_code, origin_postal_code, shipment_id, tracking_number,
             currency, refunded, reason, version, requested_by, created_at, updated_at
         FROM returns r JOIN unnest($1::uuid[]) WITH ORDINALITY AS wanted (return_id, place)
             ON r.return_id = wanted.return_id
         ORDER BY place",
        return_ids
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut lines = load_lines(conn, return_ids).await?;
    let read = |row: ReturnRow| {
        let own = lines.remove(&row.return_id).unwrap_or_default();
        row.into_return(own)
    };
    rows.into_iter().map(read).collect()
}

async fn load_lines(
    conn: &mut PgConnection,
    return_ids: &[Uuid],
) -> Result<HashMap<Uuid, Vec<ReturnLine>>, StoreError> {
    let rows = sqlx::query!(
        "SELECT return_id, return_line_id, line_number, order_line_id, sku, name, reason, condition,
             advised, received, inspected, restocked, quarantined, scrapped, refund_triggered,
             refund_paid, refund_denied
         FROM return_lines WHERE return_id = ANY($1) ORDER BY return_id, line_number",
        return_ids
    )
    .fetch_all(conn)
    .await?;
    let mut lines: HashMap<Uuid, Vec<ReturnLine>> = HashMap::new();
    for row in rows {
        lines.entry(row.return_id).or_default().push(ReturnLine {
            return_line_id: row.return_line_id,
            line_number: row.line_number,
            order_line_id: OrderLineId::new(row.order_line_id),
            sku: row.sku,
            name: row.name,
            reason: row.reason,
            condition: row.condition,
            advised: row.advised,
            received: row.received,
            inspected: row.inspected,
            restocked: row.restocked,
            quarantined: row.quarantined,
            scrapped: row.scrapped,
            refund_triggered: row.refund_triggered,
            refund_paid: row.refund_paid,
            refund_denied: row.refund_denied,
        });
    }
    Ok(lines)
}

/// What to list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    /// Only of this order.
    pub(crate) order_id: Option<OrderId>,
    /// Only in these states; empty for all.
    pub(crate) states: Vec<String>,
    /// Only at these locations; `None` for all.
    pub(crate) locations: Option<Vec<String>>,
}

/// Ids of a page of returns with the time they were asked for, oldest first.
pub(crate) async fn list(
    conn: &mut PgConnection,
    filter: &Filter,
    after: Option<(OffsetDateTime, Uuid)>,
    limit: i64,
) -> Result<Vec<(OffsetDateTime, Uuid)>, StoreError> {
    let (after_time, after_id) = after.unzip();
    let rows = sqlx::query!(
        "SELECT created_at, return_id FROM returns
         WHERE ($1::uuid IS NULL OR order_id = $1) AND (cardinality($2::text[]) = 0 OR state = ANY($2))
             AND ($3::timestamptz IS NULL OR (created_at, return_id) > ($3, $4))
             AND ($6::text[] IS NULL OR location_id = ANY($6))
         ORDER BY created_at, return_id LIMIT $5",
        filter.order_id.map(OrderId::uuid),
        &filter.states,
        after_time,
        after_id,
        limit,
        filter.locations.as_deref()
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.created_at, row.return_id))
        .collect())
}

struct ReturnRow {
    return_id: Uuid,
    order_id: Uuid,
    order_number: String,
    channel_id: String,
    state: String,
    refund_timing: String,
    location_id: String,
    origin_address_id: String,
    origin_country_code: String,
    origin_postal_code: String,
    shipment_id: Option<Uuid>,
    tracking_number: String,
    currency: String,
    refunded: i64,
    reason: String,
    version: i64,
    requested_by: String,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl ReturnRow {
    fn into_return(self, lines: Vec<ReturnLine>) -> Result<Return, StoreError> {
        let unknown = |column| StoreError::Inconsistent {
            column,
            id: self.return_id.to_string(),
        };
        let location: LocationId = self
            .location_id
            .parse()
            .map_err(|_| unknown("location_id"))?;
        Ok(Return {
            return_id: ReturnId::new(self.return_id),
            order_id: OrderId::new(self.order_id),
            state: ReturnState::parse(&self.state).ok_or_else(|| unknown("state"))?,
            refund_timing: RefundTiming::parse(&self.refund_timing)
                .ok_or_else(|| unknown("refund_timing"))?,
            location_id: location,
            order_number: self.order_number,
            channel_id: self.channel_id,
            origin_address_id: self.origin_address_id,
            origin_country_code: self.origin_country_code,
            origin_postal_code: self.origin_postal_code,
            shipment_id: self.shipment_id.map(ShipmentId::new),
            tracking_number: self.tracking_number,
            currency: self.currency,
            refunded: self.refunded,
            reason: self.reason,
            version: self.version,
            requested_by: self.requested_by,
            created_at: self.created_at,
            updated_at: self.updated_at,
            lines,
        })
    }
}
