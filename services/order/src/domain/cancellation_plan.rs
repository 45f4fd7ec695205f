//! What a cancellation asks of others: written down before it is asked, and the answers as they come, so
//! that it goes on after a crash exactly where it was.

use std::collections::BTreeMap;

use oms_core::{FulfillmentOrderId, OrderLineId, ReservationId};
use serde::{Deserialize, Serialize};

use super::cancellation::{Cancellation, CancellationLine, WAITS_FOR_VOID};
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
        plan.canceled = take_unsent(&mut left, batches);
        plan.ask = fulfillment_orders
            .iter()
            .filter(|one| !matches!(one.state.as_str(), "CLOSED" | "CANCELED"))
            .map(|one| one.fulfillment_order_id)
            .collect();
        plan
    }

    /// Takes what is still wanted from batches that were planned since; true when there was something.
    pub(crate) fn take_planned_since(&mut self, batches: &mut [Release]) -> bool {
        let mut left = self.still_wanted().into_iter().collect();
        let taken = take_unsent(&mut left, batches);
        let some = !taken.is_empty();
        self.canceled.extend(taken);
        some
    }

    /// True when units that are still wanted wait for stock by our copies of the reservations: all that wait were asked for,
    /// so inventory has stock for these, and its event is on the way.
    pub(crate) fn is_behind(&self, reservations: &[Reservation]) -> bool {
        let wanted = self.still_wanted();
        let mut waiting = reservations
            .iter()
            .flat_map(|reservation| &reservation.lines)
            .filter(|line| line.state == ReservationState::Backordered && line.quantity > 0);
        waiting.any(|line| wanted.iter().any(|(id, _)| *id == line.order_line_id))
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

    /// Sets state and legs by what was canceled. `refunds` says that money goes back, `voids` that the authorization is given up.
    pub(crate) fn conclude(&self, cancellation: &mut Cancellation, refunds: bool, voids: bool) {
        let asked: i64 = cancellation.lines.iter().map(|line| line.quantity).sum();
        let units: i64 = cancellation.lines.iter().map(|line| line.canceled).sum();
        let state = match units {
            0 => "REFUSED",
            units if units < asked => "PARTIALLY_COMPLETED",
            _ => "COMPLETED",
        };
        state.clone_into(&mut cancellation.state);
        if units < asked {
            let detail = format!("{} units are under way already", asked - units);
            cancellation.set_leg("fulfillment", "REFUSED", &detail);
        } else {
            let detail = format!("{} fulfillment orders had nothing to cancel", self.refusals);
            cancellation.set_leg("fulfillment", "DONE", &detail);
        }
        let (leg, detail) = match units {
            0 => ("REFUSED", "nothing was given back".to_owned()),
            _ => ("DONE", format!("{units} units given back")),
        };
        cancellation.set_leg("reservation", leg, &detail);
        let (leg, detail) = match (refunds, voids) {
            (true, _) => ("PENDING", "the money will be refunded"),
            (false, true) => ("PENDING", WAITS_FOR_VOID),
            (false, false) => ("DONE", "nothing to give back"),
        };
        cancellation.set_leg("payment", leg, detail);
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

/// One row per line and place, as inventory counts each only once.
pub(crate) fn merged(units: &[Units]) -> Vec<Units> {
    let mut merged: Vec<Units> = Vec::new();
    for one in units {
        let same = merged.iter_mut().find(|known| {
            known.order_line_id == one.order_line_id
                && known.location_id == one.location_id
                && known.lot == one.lot
        });
        match same {
            Some(known) => known.quantity += one.quantity,
            None => merged.push(one.clone()),
        }
    }
    merged
}

/// Takes units from batches that were not sent, which leave their batch here.
fn take_unsent(left: &mut BTreeMap<OrderLineId, i64>, batches: &mut [Release]) -> Vec<Units> {
    let mut taken = Vec::new();
    let unsent = |batch: &&mut Release| batch.state == ReleaseState::Planned;
    for batch in batches.iter_mut().filter(unsent) {
        for line in &mut batch.lines {
            let quantity = take(left, line.order_line_id, line.quantity);
            if quantity > 0 {
                taken.push(Units::of(line, quantity));
                line.quantity -= quantity;
            }
        }
        batch.lines.retain(|line| line.quantity > 0);
    }
    taken
}

fn take(left: &mut BTreeMap<OrderLineId, i64>, line: OrderLineId, most: i64) -> i64 {
    let Some(wanted) = left.get_mut(&line) else {
        return 0;
    };
    let quantity = most.min(*wanted);
    *wanted -= quantity;
    quantity
}
