//! Lists shipments, oldest first.

use oms_postgres::Db;
use uuid::Uuid;

use crate::domain::shipment::Shipment;
use crate::store::lists;
use crate::store::{StoreError, shipments};

pub(crate) use crate::store::lists::{Filter, Position};

/// A page of shipments, and where the next one begins; `None` at the end.
#[tracing::instrument(name = "shipping.list_shipments", skip_all)]
pub(crate) async fn list_shipments(
    db: &Db,
    filter: &Filter,
    after: Option<Position>,
    size: i64,
) -> Result<(Vec<Shipment>, Option<Position>), StoreError> {
    let mut conn = db.snapshot().await?;
    // One more than asked for tells whether there is a next page.
    let mut positions = lists::page(&mut conn, filter, after, size + 1).await?;
    let is_last = i64::try_from(positions.len()).unwrap_or(i64::MAX) <= size;
    if !is_last {
        positions.pop();
    }
    let ids: Vec<Uuid> = positions
        .iter()
        .map(|position| position.shipment_id)
        .collect();
    let found = shipments::load_many(&mut conn, &ids).await?;
    Ok((found, positions.last().copied().filter(|_| !is_last)))
}
