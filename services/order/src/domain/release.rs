//! What is handed to fulfillment in one call, and what stops it.

use oms_core::{FulfillmentOrderId, OrderLineId, ReservationId};

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

/// Why nothing may be handed to fulfillment now; `None` when it may.
pub(crate) fn blocked(order: &Order) -> Option<&'static str> {
    if order.is_blocked(HoldBlock::ReleaseToNode) {
        return Some("a hold blocks the release");
    }
    (order.ship_complete && order.has_backorders())
        .then_some("the order ships complete and units wait for stock")
}
