//! Goods that came back, and what became of them.

use oms_core::derive;
use oms_postgres::{NewTask, tasks};
use oms_proto::events::v1::Event;
use oms_proto::returns::v1::ReturnsEvent;
use oms_service::ApplyError;
use prost::Message;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::tasks::MOVE_RETURNED_STOCK;
use crate::tasks::move_returned_stock::moves_of;

/// A task per event that moves stock.
pub(super) async fn apply(
    conn: &mut PgConnection,
    event: &Event,
    now: OffsetDateTime,
) -> Result<(), ApplyError> {
    let event_id: Uuid = event.id.parse().map_err(ApplyError::rejected)?;
    let id = derive(event_id, MOVE_RETURNED_STOCK);
    let payload = ReturnsEvent::decode(&*event.payload)?;
    if moves_of(&payload, id)
        .map_err(ApplyError::rejected)?
        .is_none()
    {
        return Ok(());
    }
    let task = NewTask {
        id,
        kind: MOVE_RETURNED_STOCK,
        key: event.aggregate_id.clone(),
        payload: event.payload.clone(),
        run_at: now,
        actor: event.actor.clone(),
    };
    tasks::insert(conn, &task).await?;
    Ok(())
}
