//! The reservations of an order.

use oms_core::OrderId;
use oms_postgres::{Db, Error};

use crate::domain::reservation::Reservation;
use crate::store;

/// All of them, oldest first. An order has few.
pub(crate) async fn list_reservations(db: &Db, order: OrderId) -> Result<Vec<Reservation>, Error> {
    let mut conn = db.read().await?;
    store::reservations::of_order(&mut conn, order).await
}
