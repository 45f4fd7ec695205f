//! The order's copy of what inventory reserved for it, and what it means for its lines.

use oms_core::{OrderId, OrderLineId, ReservationId, derive};

use super::order::Order;

/// State of reserved units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ReservationState {
    /// Held with a time to live.
    Held,
    /// Allocated to a confirmed order.
    Allocated,
    /// Waits for stock.
    Backordered,
    /// Shipped.
    Consumed,
    /// Given back or short.
    Released,
    /// Ran out.
    Expired,
}

impl ReservationState {
    /// All states.
    pub(crate) const ALL: [Self; 6] = [
        Self::Held,
        Self::Allocated,
        Self::Backordered,
        Self::Consumed,
        Self::Released,
        Self::Expired,
    ];

    /// The name that the database and the proto enum use.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Held => "HELD",
            Self::Allocated => "ALLOCATED",
            Self::Backordered => "BACKORDERED",
            Self::Consumed => "CONSUMED",
            Self::Released => "RELEASED",
            Self::Expired => "EXPIRED",
        }
    }

    /// Reads the name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// A reservation by inventory's version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reservation {
    /// Id, made by this service.
    pub(crate) reservation_id: ReservationId,
    /// Order.
    pub(crate) order_id: OrderId,
    /// Why it was made, such as `saga/1`.
    pub(crate) cause: String,
    /// State of the whole.
    pub(crate) state: ReservationState,
    /// Inventory's version of it.
    pub(crate) version: i64,
    /// Units by line, location, lot and state.
    pub(crate) lines: Vec<ReservationLine>,
}

/// Units of one order line at one location in one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReservationLine {
    /// Line.
    pub(crate) order_line_id: OrderLineId,
    /// Location; empty while backordered.
    pub(crate) location_id: String,
    /// Lot; empty when none.
    pub(crate) lot: String,
    /// State.
    pub(crate) state: ReservationState,
    /// Units, above zero.
    pub(crate) quantity: i64,
}

/// The id of the saga's reservation of this attempt.
pub(crate) fn saga_reservation_id(order_id: OrderId, attempt: i32) -> ReservationId {
    ReservationId::new(derive(order_id.uuid(), &format!("reservation/{attempt}")))
}

impl Reservation {
    /// Units of an order line in a state.
    pub(crate) fn units(&self, order_line_id: OrderLineId, state: ReservationState) -> i64 {
        self.lines
            .iter()
            .filter(|line| line.order_line_id == order_line_id && line.state == state)
            .map(|line| line.quantity)
            .sum()
    }

    /// True when no unit of it is held, allocated or waiting.
    pub(crate) fn is_empty(&self) -> bool {
        !self.lines.iter().any(|line| {
            matches!(
                line.state,
                ReservationState::Held
                    | ReservationState::Allocated
                    | ReservationState::Backordered
            )
        })
    }
}

impl Order {
    /// Sets the lines' outstanding counters to what all of the order's reservations say. True when one moved.
    pub(crate) fn set_reserved(&mut self, reservations: &[Reservation]) -> bool {
        let mut moved = false;
        for line in &mut self.lines {
            let units = |state| {
                reservations
                    .iter()
                    .map(|reservation| reservation.units(line.order_line_id, state))
                    .sum::<i64>()
            };
            let before = line.counters;
            line.counters.held = units(ReservationState::Held);
            line.counters.allocated = units(ReservationState::Allocated);
            line.counters.backordered = units(ReservationState::Backordered);
            moved |= before != line.counters;
        }
        moved
    }
}
