//! Keyset pages of shipments, oldest first. Each filter has a statement of its own, so that each uses
//! the index that serves it, however large the table is.

use oms_core::{OrderId, ShipmentId};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::state::ShipmentState;

use super::StoreError;

/// What to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Only of this order.
    pub(crate) order_id: Option<OrderId>,
    /// Only of these locations; `None` for all.
    pub(crate) locations: Option<Vec<String>>,
    /// Only in these states; empty for all.
    pub(crate) states: Vec<ShipmentState>,
}

/// Place of a shipment in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    /// When it was created.
    pub(crate) created_at: OffsetDateTime,
    /// Id, which parts those of one instant.
    pub(crate) shipment_id: Uuid,
}

/// Positions of the shipments after a position.
pub(crate) async fn page(
    conn: &mut PgConnection,
    filter: &Filter,
    after: Option<Position>,
    limit: i64,
) -> Result<Vec<Position>, StoreError> {
    let after = after.unwrap_or(Position {
        created_at: OffsetDateTime::UNIX_EPOCH,
        shipment_id: Uuid::nil(),
    });
    let states: Vec<&str> = filter.states.iter().map(|state| state.as_str()).collect();
    let locations = filter.locations.as_deref();
    let open = [ShipmentState::Draft, ShipmentState::Labeled];
    let only_open = !states.is_empty() && filter.states.iter().all(|state| open.contains(state));
    let rows = if let Some(order_id) = filter.order_id {
        of_order(conn, order_id, (&states, locations), after, limit).await?
    } else if only_open {
        sqlx::query_as!(
            Position,
            "SELECT created_at, shipment_id FROM shipments
             WHERE state IN ('DRAFT', 'LABELED') AND (created_at, shipment_id) > ($1, $2)
                 AND state = ANY($3) AND ($4::text[] IS NULL OR location_id = ANY($4))
             ORDER BY created_at, shipment_id LIMIT $5",
            after.created_at,
            after.shipment_id,
            &states as &[&str],
            locations,
            limit
        )
        .fetch_all(conn)
        .await?
    } else if let Some([location]) = locations {
        sqlx::query_as!(
            Position,
            "SELECT created_at, shipment_id FROM shipments
             WHERE location_id = $1 AND (created_at, shipment_id) > ($2, $3)
                 AND (cardinality($4::text[]) = 0 OR state = ANY($4))
             ORDER BY created_at, shipment_id LIMIT $5",
            location,
            after.created_at,
            after.shipment_id,
            &states as &[&str],
            limit
        )
        .fetch_all(conn)
        .await?
    } else {
        sqlx::query_as!(
            Position,
            "SELECT created_at, shipment_id FROM shipments
             WHERE (created_at, shipment_id) > ($1, $2)
                 AND (cardinality($3::text[]) = 0 OR state = ANY($3))
                 AND ($4::text[] IS NULL OR location_id = ANY($4))
             ORDER BY created_at, shipment_id LIMIT $5",
            after.created_at,
            after.shipment_id,
            &states as &[&str],
            locations,
            limit
        )
        .fetch_all(conn)
        .await?
    };
    Ok(rows)
}

async fn of_order(
    conn: &mut PgConnection,
    order_id: OrderId,
    filter: (&[&str], Option<&[String]>),
    after: Position,
    limit: i64,
) -> Result<Vec<Position>, StoreError> {
    let (states, locations) = filter;
    let rows = sqlx::query_as!(
        Position,
        "SELECT created_at, shipment_id FROM shipments
         WHERE order_id = $1 AND (created_at, shipment_id) > ($2, $3)
             AND (cardinality($4::text[]) = 0 OR state = ANY($4))
             AND ($5::text[] IS NULL OR location_id = ANY($5))
         ORDER BY created_at, shipment_id LIMIT $6",
        order_id.uuid(),
        after.created_at,
        after.shipment_id,
        states as &[&str],
        locations,
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

/// Location of a shipment.
pub(crate) async fn location(
    conn: &mut PgConnection,
    id: ShipmentId,
) -> Result<Option<String>, StoreError> {
    let found = sqlx::query_scalar!(
        "SELECT location_id FROM shipments WHERE shipment_id = $1",
        id.uuid()
    );
    Ok(found.fetch_optional(conn).await?)
}
