//! Stock as inventory has it, against orders, shipments and returns.

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use super::{compare, sums};
use crate::verify::facts::{Facts, Reservation, ReturnedStock};
use crate::verify::invariant::{Relation, Violation};

/// Orders that nothing more happens to but returns.
pub(super) fn has_ended(state: &str) -> bool {
    matches!(state, "COMPLETED" | "REJECTED" | "CANCELED" | "EXPIRED")
}

pub(super) fn units_are_accounted_for(facts: &Facts) -> Relation {
    let open_short: HashMap<Uuid, i64> = facts
        .fulfillment
        .lines
        .iter()
        .map(|line| (line.order_line_id, line.open_short))
        .collect();
    let mut relation = Relation::default();
    let confirmed = facts
        .order
        .lines
        .iter()
        .filter(|line| matches!(line.state.as_str(), "CONFIRMED" | "COMPLETED"));
    for line in confirmed {
        let found = line.canceled + line.allocated + line.backordered + line.shipped;
        let missing = line.ordered - found - line.held;
        // Inventory may or may not have heard yet of what a picker misses.
        let short = open_short
            .get(&line.order_line_id)
            .copied()
            .unwrap_or_default();
        let is_wrong = line.held != 0 || missing < 0 || missing > short;
        relation.judge(
            line.order_id,
            is_wrong.then(|| {
                format!(
                    "order line {}: {} ordered; {} canceled, {} allocated, {} backordered, {} shipped, {} held, {short} short",
                    line.order_line_id,
                    line.ordered,
                    line.canceled,
                    line.allocated,
                    line.backordered,
                    line.shipped,
                    line.held,
                )
            }),
        );
    }
    relation
}

pub(super) fn reservations_equal_copies(facts: &Facts) -> Relation {
    let copies: HashMap<Uuid, &Reservation> = facts
        .order
        .reservations
        .iter()
        .map(|copy| (copy.reservation_id, copy))
        .collect();
    let mut relation = Relation::default();
    let mut known = HashSet::new();
    for reservation in &facts.inventory.reservations {
        let id = reservation.reservation_id;
        known.insert(id);
        // A tombstone without an order is nobody's copy.
        let Some(order) = reservation.order_id else {
            continue;
        };
        let wrong = match copies.get(&id) {
            // What was given back before anybody knew of it needs no copy.
            None if reservation.lines.is_empty() => None,
            None => Some(format!("reservation {id} is unknown to its order")),
            Some(copy) if copy.order_id != Some(order) => {
                Some(format!("reservation {id} is another order's there"))
            }
            Some(copy) if copy.version != reservation.version => Some(format!(
                "reservation {id}: version {} in inventory, {} in the order",
                reservation.version, copy.version
            )),
            Some(copy)
                if (&copy.state, &copy.lines) != (&reservation.state, &reservation.lines) =>
            {
                Some(format!(
                    "reservation {id} version {}: {} [{}] in inventory, {} [{}] in the order",
                    copy.version, reservation.state, reservation.lines, copy.state, copy.lines
                ))
            }
            Some(_) => None,
        };
        relation.judge(order, wrong);
    }
    for copy in &facts.order.reservations {
        if let Some(order) = copy.order_id
            && !known.contains(&copy.reservation_id)
        {
            let what = format!(
                "reservation {} is unknown to inventory",
                copy.reservation_id
            );
            relation.judge(order, Some(what));
        }
    }
    relation
}

pub(super) fn ended_orders_reserve_nothing(facts: &Facts) -> Relation {
    let ended: HashMap<Uuid, &str> = facts
        .order
        .lines
        .iter()
        .filter(|line| has_ended(&line.state))
        .map(|line| (line.order_id, line.state.as_str()))
        .collect();
    let mut relation = Relation::default();
    for reservation in &facts.inventory.reservations {
        let Some(order) = reservation.order_id else {
            continue;
        };
        let Some(state) = ended.get(&order) else {
            continue;
        };
        relation.judge(
            order,
            reservation.is_live.then(|| {
                format!(
                    "order {order} is {state}, its reservation {} holds [{}]",
                    reservation.reservation_id, reservation.lines
                )
            }),
        );
    }
    relation
}

pub(super) fn issued_equals_shipped(facts: &Facts) -> Relation {
    let orders: HashMap<String, Uuid> = facts
        .shipping
        .shipments
        .iter()
        .map(|shipment| (shipment.shipment_id.to_string(), shipment.order_id))
        .collect();
    let mut units: BTreeMap<(String, String), (i64, i64)> = BTreeMap::new();
    for row in &facts.inventory.issued {
        let key = (row.shipment_id.clone(), row.order_line_id.clone());
        units.entry(key).or_default().0 += row.units;
    }
    for row in &facts.shipping.shipped {
        let key = (row.shipment_id.to_string(), row.order_line_id.to_string());
        units.entry(key).or_default().1 += row.units;
    }
    let mut relation = Relation::default();
    for ((shipment, line), (issued, shipped)) in units {
        relation.checked += 1;
        if issued != shipped {
            relation.violations.push(Violation {
                what: format!(
                    "shipment {shipment}, order line {line}: {issued} issued, {shipped} shipped"
                ),
                order: orders.get(&shipment).copied(),
            });
        }
    }
    relation
}

pub(super) fn consumed_equals_shipped(facts: &Facts) -> Relation {
    let consumed = facts.inventory.lines.iter();
    let shipped = facts.shipping.shipped.iter();
    compare(
        "order line",
        (
            "consumed",
            sums(consumed.map(|line| (line.order_id, line.order_line_id, line.consumed))),
        ),
        (
            "shipped",
            sums(shipped.map(|line| (line.order_id, line.order_line_id, line.units))),
        ),
    )
}

pub(super) fn returned_stock_equals_returns(facts: &Facts) -> Relation {
    let mut booked: HashMap<&str, &ReturnedStock> = facts
        .inventory
        .returned
        .iter()
        .map(|row| (row.return_line_id.as_str(), row))
        .collect();
    let mut relation = Relation::default();
    for line in &facts.returns.lines {
        let said = [
            line.received,
            line.restocked,
            line.quarantined,
            line.scrapped,
        ];
        let row = booked.remove(line.return_line_id.to_string().as_str());
        let found = row.map_or([0; 4], units);
        relation.judge(
            line.order_id,
            (said != found).then(|| {
                format!(
                    "return line {}: received, restocked, set apart, scrapped {said:?} by the return, {found:?} in stock",
                    line.return_line_id
                )
            }),
        );
    }
    for (line, row) in booked {
        relation.checked += 1;
        relation.violations.push(Violation {
            what: format!(
                "return line {line} is unknown to returns, {:?} in stock",
                units(row)
            ),
            order: None,
        });
    }
    relation
}

fn units(row: &ReturnedStock) -> [i64; 4] {
    [row.received, row.restocked, row.quarantined, row.scrapped]
}
