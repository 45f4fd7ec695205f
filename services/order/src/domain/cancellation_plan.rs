//! What a cancellation asks of others: written down before it is asked, and the answers as they come, so
//! that it goes on after a crash exactly where it was.

use std::collections::BTreeMap;

use oms_core::{FulfillmentOrderId, OrderLineId, ReservationId};
use serde::{Deserialize, Serialize};

use super::cancellation::CancellationLine;
use super::release::{FulfillmentOrder, Release, ReleaseLine, ReleaseState};
use super::reservation::{Reservation, ReservationState};

/// Units of an order line, of a reservation, at a place; the place is empty for units that wait for stock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Units {
    /// Reservation.
    pub(crate) reservation_id: ReservationId,
    /// Order line.
    pub(crate) order_line_id: OrderLineId,
    /// Location; empty while backordered.
    #[serde(default)]
    pub(crate) location_id: String,
    /// Lot; empty when none.
    #[serde(default)]
    pub(crate) lot: String,
    /// Units.
    pub(crate) quantity: i64,
}

/// The plan with what came of it so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// Units asked for, by order line.
    pub(crate) wanted: BTreeMap<OrderLineId, i64>,
    /// Units that wait for stock and are to be released, still to be asked for.
    pub(crate) backordered: Vec<Units>,
    /// Fulfillment orders still to be asked, in this order.
    pub(crate) ask: Vec<FulfillmentOrderId>,
    /// Units that waited for stock and are released now.
    pub(crate) released: Vec<Units>,
    /// Allocated units that are canceled: taken from a batch that was not sent, or by a fulfillment order.
    pub(crate) canceled: Vec<Units>,
    /// Fulfillment orders that canceled nothing.
    pub(crate) refusals: usize,
}

impl Units {
    fn of(line: &ReleaseLine, quantity: i64) -> Self {
        Self {
            reservation_id: line.reservation_id,
            order_line_id: line.order_line_id,
            location_id: line.location_id.clone(),
            lot: line.lot.clone(),
            quantity,
        }
    }
}

impl From<&ReleaseLine> for Units {
    fn from(line: &ReleaseLine) -> Self {
        Self::of(line, line.quantity)
    }
}

impl Plan {
    /// Plans a cancellation: first units that wait for stock, then those of batches that were not sent,
    /// which leave their batch here, then those that fulfillment orders have.
    pub(crate) fn new(
        lines: &[CancellationLine],
        reservations: &[Reservation],
        batches: &mut [Release],
        fulfillment_orders: &[FulfillmentOrder],
    ) -> Self {
        let mut plan = Self::default();
        for line in lines {
            *plan.wanted.entry(line.order_line_id).or_default() += line.quantity;
        }
        let mut left = plan.wanted.clone();
        for reservation in reservations {
            for line in &reservation.lines {
                if line.state != ReservationState::Backordered {
                    continue;
                }
                let quantity = take(&mut left, line.order_line_id, line.quantity);
                if quantity > 0 {
                    plan.backordered.push(Units {
                        reservation_id: reservation.reservation_id,
                        order_line_id: line.order_line_id,
                        location_id: String::new(),
                        lot: String::new(),
                        quantity,
                    });
                }
            }
        }
        let unsent = |batch: &&mut Release| batch.state == ReleaseState::Planned;
        for line in batches
            .iter_mut()
            .filter(unsent)
            .flat_map(|batch| &mut batch.lines)
        {
            let quantity = take(&mut left, line.order_line_id, line.quantity);
            if quantity > 0 {
                plan.canceled.push(Units::of(line, quantity));
                line.quantity -= quantity;
            }
        }
        for batch in batches.iter_mut() {
            batch.lines.retain(|line| line.quantity > 0);
        }
        plan.ask = fulfillment_orders
            .iter()
            .filter(|one| !matches!(one.state.as_str(), "CLOSED" | "CANCELED"))
            .map(|one| one.fulfillment_order_id)
            .collect();
        plan
    }

    /// Units that are asked for and not canceled yet.
    pub(crate) fn still_wanted(&self) -> Vec<(OrderLineId, i64)> {
        let done = self.done();
        self.wanted
            .iter()
            .map(|(line, wanted)| (*line, wanted - done.get(line).copied().unwrap_or_default()))
            .filter(|(_, left)| *left > 0)
            .collect()
    }

    /// Units that are canceled, by order line.
    pub(crate) fn done(&self) -> BTreeMap<OrderLineId, i64> {
        let mut done = BTreeMap::new();
        for units in self.released.iter().chain(&self.canceled) {
            *done.entry(units.order_line_id).or_default() += units.quantity;
        }
        done
    }

    /// Allocated units to give back, by reservation.
    pub(crate) fn to_release(&self) -> BTreeMap<ReservationId, Vec<Units>> {
        let mut by_reservation: BTreeMap<ReservationId, Vec<Units>> = BTreeMap::new();
        for units in &self.canceled {
            by_reservation
                .entry(units.reservation_id)
                .or_default()
                .push(units.clone());
        }
        by_reservation
    }
}

fn take(left: &mut BTreeMap<OrderLineId, i64>, line: OrderLineId, most: i64) -> i64 {
    let Some(wanted) = left.get_mut(&line) else {
        return 0;
    };
    let quantity = most.min(*wanted);
    *wanted -= quantity;
    quantity
}
