//! What running cancellations have asked of others, and what came of it.

use oms_core::CancellationId;
use sqlx::PgConnection;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::cancellation::Cancellation;
use crate::domain::cancellation_plan::Plan;

use super::StoreError;

/// The plan of a cancellation; `None` before it is planned.
pub(crate) async fn load(
    conn: &mut PgConnection,
    cancellation_id: CancellationId,
) -> Result<Option<Plan>, StoreError> {
    let plan = sqlx::query_scalar!(
        r#"SELECT plan AS "plan: Json<Plan>" FROM cancellations WHERE cancellation_id = $1"#,
        cancellation_id.uuid()
    )
    .fetch_optional(conn)
    .await?;
    Ok(plan.flatten().map(|json| json.0))
}

/// Writes the plan, or what came of it so far.
pub(crate) async fn save(
    conn: &mut PgConnection,
    cancellation_id: CancellationId,
    plan: &Plan,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE cancellations SET plan = $2, updated_at = $3 WHERE cancellation_id = $1",
        cancellation_id.uuid(),
        Json(plan) as _,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes the state of a cancellation with its lines and legs. The caller holds the lock of the order.
pub(crate) async fn save_cancellation(
    conn: &mut PgConnection,
    cancellation: &Cancellation,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let id = cancellation.cancellation_id.uuid();
    sqlx::query!(
        "UPDATE cancellations SET state = $2, updated_at = $3 WHERE cancellation_id = $1",
        id,
        cancellation.state,
        now
    )
    .execute(&mut *conn)
    .await?;
    let lines = &cancellation.lines;
    let order_lines: Vec<Uuid> = lines.iter().map(|line| line.order_line_id.uuid()).collect();
    let canceled: Vec<i64> = lines.iter().map(|line| line.canceled).collect();
    sqlx::query!(
        "UPDATE cancellation_lines l SET canceled = n.canceled
         FROM unnest($2::uuid[], $3::int8[]) AS n (order_line_id, canceled)
         WHERE l.cancellation_id = $1 AND l.order_line_id = n.order_line_id",
        id,
        &order_lines,
        &canceled
    )
    .execute(&mut *conn)
    .await?;
    let legs = &cancellation.legs;
    let names: Vec<String> = legs.iter().map(|leg| leg.name.clone()).collect();
    let states: Vec<String> = legs.iter().map(|leg| leg.state.clone()).collect();
    let details: Vec<String> = legs.iter().map(|leg| leg.detail.clone()).collect();
    sqlx::query!(
        "UPDATE cancellation_legs l SET state = n.state, detail = n.detail
         FROM unnest($2::text[], $3::text[], $4::text[]) AS n (name, state, detail)
         WHERE l.cancellation_id = $1 AND l.name = n.name",
        id,
        &names,
        &states,
        &details
    )
    .execute(conn)
    .await?;
    Ok(())
}
