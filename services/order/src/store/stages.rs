//! Open orders by what they wait for.

use oms_core::OrderId;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::stage::{AtRisk, Backlog, Stage};

use super::StoreError;

/// Until when something is at risk: what is due before `until`, and not before half of its own time is over, so that a stage
/// that takes less than that is not at risk from its first moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Horizon {
    /// Now.
    pub(crate) now: OffsetDateTime,
    /// What is due later is not at risk.
    pub(crate) until: OffsetDateTime,
}

/// A page of open orders whose stage is due before `until`, the most urgent first; with `now` only those of which half of the
/// stage's time is over.
pub(crate) async fn due(
    conn: &mut PgConnection,
    until: OffsetDateTime,
    now: Option<OffsetDateTime>,
    stage: Option<Stage>,
    after: Option<(OffsetDateTime, Uuid)>,
    limit: i64,
) -> Result<Vec<AtRisk>, StoreError> {
    let (after_due, after_id) = after.unzip();
    let rows = sqlx::query!(
        r#"SELECT order_id, order_number, channel_id, stage, stage_since AS "since!", stage_due AS "due!", ship_by AS "ship_by!"
         FROM orders
         WHERE stage <> '' AND stage_due < $1 AND ($2 = '' OR stage = $2)
             AND ($6::timestamptz IS NULL OR $6 >= stage_since + (stage_due - stage_since) / 2)
             AND ($3::timestamptz IS NULL OR (stage_due, order_id) > ($3, $4))
         ORDER BY stage_due, order_id LIMIT $5"#,
        until,
        stage.map_or("", Stage::as_str),
        after_due,
        after_id,
        limit,
        now
    )
    .fetch_all(conn)
    .await?;
    let found = rows.into_iter().map(|row| {
        let stage = Stage::parse(&row.stage);
        Ok(AtRisk {
            order_id: OrderId::new(row.order_id),
            order_number: row.order_number,
            channel_id: row.channel_id,
            stage: stage
                .ok_or_else(|| StoreError::inconsistent("orders", "stage", row.order_id))?,
            since: row.since,
            due: row.due,
            ship_by: row.ship_by,
        })
    });
    found.collect()
}

/// Open orders by stage and the location that works on them.
pub(crate) async fn backlog(
    conn: &mut PgConnection,
    horizon: Horizon,
) -> Result<Vec<Backlog>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT o.stage, coalesce(f.location_id, '') AS "location_id!", count(*) AS "orders!",
             count(*) FILTER (WHERE stage_due < $2 AND $1 >= stage_since + (stage_due - stage_since) / 2) AS "at_risk!",
             count(*) FILTER (WHERE stage_due < $1) AS "late!", min(stage_since) AS "oldest!"
         FROM orders o LEFT JOIN LATERAL (
             SELECT DISTINCT location_id FROM fulfillment_orders f
             WHERE f.order_id = o.order_id AND f.state NOT IN ('CLOSED', 'CANCELED')
         ) AS f ON true
         WHERE stage <> '' GROUP BY 1, 2 ORDER BY 1, 2"#,
        horizon.now,
        horizon.until
    )
    .fetch_all(conn)
    .await?;
    let rows = rows.into_iter().filter_map(|row| {
        Some(Backlog {
            stage: Stage::parse(&row.stage)?,
            location_id: row.location_id,
            orders: row.orders,
            at_risk: row.at_risk,
            late: row.late,
            oldest: row.oldest,
        })
    });
    Ok(rows.collect())
}

/// Open orders by stage alone, from the index.
pub(crate) async fn totals(
    conn: &mut PgConnection,
    horizon: Horizon,
) -> Result<Vec<Backlog>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT stage, count(*) AS "orders!",
             count(*) FILTER (WHERE stage_due < $2 AND $1 >= stage_since + (stage_due - stage_since) / 2) AS "at_risk!",
             count(*) FILTER (WHERE stage_due < $1) AS "late!", min(stage_since) AS "oldest!"
         FROM orders WHERE stage <> '' GROUP BY 1"#,
        horizon.now,
        horizon.until
    )
    .fetch_all(conn)
    .await?;
    let rows = rows.into_iter().filter_map(|row| {
        Some(Backlog {
            stage: Stage::parse(&row.stage)?,
            location_id: String::new(),
            orders: row.orders,
            at_risk: row.at_risk,
            late: row.late,
            oldest: row.oldest,
        })
    });
    Ok(rows.collect())
}
