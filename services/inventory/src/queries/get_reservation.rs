//! One reservation.

use oms_core::ReservationId;
use oms_postgres::{Db, Error};

use crate::domain::reservation::Reservation;
use crate::store;

/// The reservation; `None` when there is none.
pub(crate) async fn get_reservation(
    db: &Db,
    id: ReservationId,
) -> Result<Option<Reservation>, Error> {
    let mut conn = db.read().await?;
    Ok(store::reservations::load(&mut conn, &[id].into())
        .await?
        .pop())
}
