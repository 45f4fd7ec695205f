//! What is handed to fulfillment in one call, and what stops it.

use oms_core::{FulfillmentOrderId, OrderLineId, ReservationId};

use super::cancellation::Cancellation;
use super::order::{HoldBlock, Order};
use super::reservation::{Reservation, ReservationState};

/// The batch of what was allocated when the order was confirmed.
pub(crate) const FIRST_BATCH: &str = "order";

/// State of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReleaseState {
    /// Its units may still be canceled.
    Planned,
    /// The call may have been made; its lines do not change any more.
    Sent,
    /// Fulfillment orders exist.
    Released,
}

impl ReleaseState {
    /// The name that the database uses.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "PLANNED",
            Self::Sent => "SENT",
            Self::Released => "RELEASED",
        }
    }

    /// Reads the name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::Planned, Self::Sent, Self::Released]
            .into_iter()
            .find(|state| state.as_str() == name)
    }
}

/// A batch of allocated units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Release {
    /// Name within the order: `order` or `backorder/<event id>`.
    pub(crate) batch: String,
    /// State.
    pub(crate) state: ReleaseState,
    /// Units.
    pub(crate) lines: Vec<ReleaseLine>,
}

/// Units of one order line at one location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReleaseLine {
    /// Reservation that holds them.
    pub(crate) reservation_id: ReservationId,
    /// Line.
    pub(crate) order_line_id: OrderLineId,
    /// Location.
    pub(crate) location_id: String,
    /// Lot; empty when none.
    pub(crate) lot: String,
    /// Units, above zero.
    pub(crate) quantity: i64,
}

/// A fulfillment order of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FulfillmentOrder {
    /// Id.
    pub(crate) fulfillment_order_id: FulfillmentOrderId,
    /// Location that does the work.
    pub(crate) location_id: String,
    /// Name of the state on the execution axis, such as `OPEN`.
    pub(crate) state: String,
}

/// The batch of what a reservation has allocated.
pub(crate) fn of_reservation(batch: &str, reservation: &Reservation) -> Release {
    let allocated = reservation
        .lines
        .iter()
        .filter(|line| line.state == ReservationState::Allocated);
    Release {
        batch: batch.to_owned(),
        state: ReleaseState::Planned,
        lines: allocated
            .map(|line| ReleaseLine {
                reservation_id: reservation.reservation_id,
                order_line_id: line.order_line_id,
                location_id: line.location_id.clone(),
                lot: line.lot.clone(),
                quantity: line.quantity,
            })
            .collect(),
    }
}

/// Units of batches that their reservations have no more at that place: the stock was not there.
pub(crate) fn displaced(batches: &[Release], reservations: &[Reservation]) -> Vec<ReleaseLine> {
    let mut open: Vec<ReleaseLine> = Vec::new();
    for line in batches.iter().flat_map(|batch| &batch.lines) {
        match open.iter_mut().find(|one| one.is_beside(line)) {
            Some(one) => one.quantity += line.quantity,
            None => open.push(line.clone()),
        }
    }
    for one in &mut open {
        let own = reservations
            .iter()
            .filter(|reservation| reservation.reservation_id == one.reservation_id);
        let here = own
            .flat_map(|reservation| &reservation.lines)
            .filter(|line| {
                line.order_line_id == one.order_line_id
                    && line.location_id == one.location_id
                    && line.lot == one.lot
                    && matches!(
                        line.state,
                        ReservationState::Allocated
                            | ReservationState::Consumed
                            | ReservationState::Released
                    )
            });
        one.quantity -= here.map(|line| line.quantity).sum::<i64>();
    }
    open.retain(|one| one.quantity > 0);
    open
}

/// Takes units off the batches in a state, as many as those have; what they have not stays in `units`.
pub(crate) fn take_off(batches: &mut [Release], state: ReleaseState, units: &mut Vec<ReleaseLine>) {
    let in_state = batches.iter_mut().filter(|batch| batch.state == state);
    for batch in in_state {
        for line in &mut batch.lines {
            let Some(one) = units.iter_mut().find(|one| one.is_beside(line)) else {
                continue;
            };
            let quantity = one.quantity.min(line.quantity);
            one.quantity -= quantity;
            line.quantity -= quantity;
        }
        batch.lines.retain(|line| line.quantity > 0);
    }
    units.retain(|one| one.quantity > 0);
}

impl ReleaseLine {
    /// Whether both are units of one order line, reservation and place.
    fn is_beside(&self, other: &Self) -> bool {
        self.reservation_id == other.reservation_id
            && self.order_line_id == other.order_line_id
            && self.location_id == other.location_id
            && self.lot == other.lot
    }
}

/// Why nothing may be handed to fulfillment now; `None` when it may. What stops it signals the saga when it ends.
pub(crate) fn blocked(order: &Order) -> Option<&'static str> {
    if order.is_blocked(HoldBlock::ReleaseToNode) {
        return Some("a hold blocks the release");
    }
    // It asks only those fulfillment orders that there were when it began.
    if order.cancellations.iter().any(Cancellation::is_open) {
        return Some("a cancellation is under way");
    }
    (order.ship_complete && order.has_backorders())
        .then_some("the order ships complete and units wait for stock")
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::reservation::ReservationLine;

    fn line(location_id: &str, quantity: i64) -> ReleaseLine {
        ReleaseLine {
            reservation_id: ReservationId::new(Uuid::from_u128(1)),
            order_line_id: OrderLineId::new(Uuid::from_u128(2)),
            location_id: location_id.to_owned(),
            lot: String::new(),
            quantity,
        }
    }

    fn batch(batch: &str, state: ReleaseState, lines: &[ReleaseLine]) -> Release {
        Release {
            batch: batch.to_owned(),
            state,
            lines: lines.to_vec(),
        }
    }

    fn reservation(rows: &[(&str, ReservationState, i64)]) -> Reservation {
        let lines = rows
            .iter()
            .map(|(location_id, state, quantity)| ReservationLine {
                order_line_id: line("", 1).order_line_id,
                location_id: (*location_id).to_owned(),
                lot: String::new(),
                state: *state,
                quantity: *quantity,
            });
        Reservation {
            reservation_id: line("", 1).reservation_id,
            order_id: oms_core::OrderId::new(Uuid::from_u128(3)),
            cause: String::new(),
            state: ReservationState::Allocated,
            version: 1,
            lines: lines.collect(),
        }
    }

    #[test]
    fn displaced_is_what_batches_have_and_reservations_have_not() {
        use ReservationState::{Allocated, Backordered, Consumed, Released};
        let batches = [
            batch(
                FIRST_BATCH,
                ReleaseState::Released,
                &[line("west", 5), line("east", 2)],
            ),
            batch("backorder/1", ReleaseState::Planned, &[line("west", 1)]),
        ];
        // Shipped and short units were there when they went.
        let rows = [
            ("west", Allocated, 1),
            ("west", Consumed, 1),
            ("west", Released, 1),
            ("", Backordered, 3),
            ("east", Allocated, 2),
        ];
        let found = displaced(&batches, &[reservation(&rows)]);
        assert_eq!(found, [line("west", 3)]);
    }

    #[test]
    fn what_was_not_sent_is_taken_off_first() {
        let mut batches = [
            batch(FIRST_BATCH, ReleaseState::Released, &[line("west", 5)]),
            batch("backorder/1", ReleaseState::Planned, &[line("west", 1)]),
        ];
        let mut units = vec![line("west", 3)];
        take_off(&mut batches, ReleaseState::Planned, &mut units);
        assert_eq!(units, [line("west", 2)]);
        assert_eq!(batches[1].lines, []);
        take_off(&mut batches, ReleaseState::Released, &mut units);
        assert_eq!(
            (units, &*batches[0].lines),
            (Vec::new(), &[line("west", 3)][..])
        );
    }
}
