//! Every child refers to a parent that exists.

use std::collections::HashSet;

use uuid::Uuid;

use crate::verify::facts::Facts;
use crate::verify::invariant::Relation;

/// What exists, by what others call it.
struct Known {
    orders: HashSet<Uuid>,
    /// Order and line.
    lines: HashSet<(Uuid, Uuid)>,
    /// Order and fulfillment order.
    work: HashSet<(Uuid, Uuid)>,
    /// Order and shipment.
    shipments: HashSet<(Uuid, Uuid)>,
    /// Order and shipment, handed over to reach the customer.
    shipped: HashSet<(Uuid, Uuid)>,
    /// Order and return.
    returns: HashSet<(Uuid, Uuid)>,
}

impl Known {
    fn of(facts: &Facts) -> Self {
        let (lines, work) = (&facts.order.lines, &facts.fulfillment.work);
        let (shipments, returns) = (&facts.shipping.shipments, &facts.returns.returns);
        let shipped = shipments.iter().filter(|shipment| shipment.is_shipped);
        Self {
            orders: lines.iter().map(|line| line.order_id).collect(),
            lines: lines
                .iter()
                .map(|line| (line.order_id, line.order_line_id))
                .collect(),
            work: work
                .iter()
                .map(|work| (work.order_id, work.fulfillment_order_id))
                .collect(),
            shipments: shipments
                .iter()
                .map(|one| (one.order_id, one.shipment_id))
                .collect(),
            shipped: shipped.map(|one| (one.order_id, one.shipment_id)).collect(),
            returns: returns
                .iter()
                .map(|ret| (ret.order_id, ret.return_id))
                .collect(),
        }
    }
}

pub(super) fn children_have_parents(facts: &Facts) -> Relation {
    let known = Known::of(facts);
    let mut relation = Relation::default();
    of_orders(facts, &known, &mut relation);
    of_lines(facts, &known, &mut relation);
    of_each_other(facts, &known, &mut relation);
    relation
}

/// Things that belong to an order.
fn of_orders(facts: &Facts, known: &Known, relation: &mut Relation) {
    let reservations = facts
        .inventory
        .reservations
        .iter()
        .filter_map(|reservation| {
            Some((
                "reservation",
                reservation.order_id?,
                reservation.reservation_id,
            ))
        });
    let work = facts.fulfillment.work.iter();
    let shipments = facts.shipping.shipments.iter();
    let returns = facts.returns.returns.iter();
    let children = reservations
        .chain(work.map(|work| {
            (
                "fulfillment order",
                work.order_id,
                work.fulfillment_order_id,
            )
        }))
        .chain(shipments.map(|one| ("shipment", one.order_id, one.shipment_id)))
        .chain(returns.map(|ret| ("return", ret.order_id, ret.return_id)));
    for (kind, order, id) in children {
        relation.judge(
            order,
            (!known.orders.contains(&order))
                .then(|| format!("{kind} {id} names order {order}, which is not there")),
        );
    }
}

/// Things that belong to a line of an order.
fn of_lines(facts: &Facts, known: &Known, relation: &mut Relation) {
    let reserved = facts.inventory.lines.iter();
    let work = facts.fulfillment.lines.iter();
    let shipped = facts.shipping.shipped.iter();
    let returned = facts.returns.lines.iter();
    let children = reserved
        .map(|line| ("reservation", line.order_id, line.order_line_id))
        .chain(work.map(|line| ("fulfillment order", line.order_id, line.order_line_id)))
        .chain(shipped.map(|line| ("shipment", line.order_id, line.order_line_id)))
        .chain(returned.map(|line| ("return", line.order_id, line.order_line_id)));
    for (kind, order, line) in children.filter(|(_, order, _)| known.orders.contains(order)) {
        relation.judge(
            order,
            (!known.lines.contains(&(order, line))).then(|| {
                format!("a {kind} of order {order} names its line {line}, which is not there")
            }),
        );
    }
}

/// What services name of each other.
fn of_each_other(facts: &Facts, known: &Known, relation: &mut Relation) {
    let mut name = |order: Uuid, found: bool, child: &str, id: Uuid, parent: &str| {
        relation.judge(
            order,
            (!found).then(|| {
                format!("{child} of order {order} names {parent} {id}, which is not there")
            }),
        );
    };
    for work in &facts.order.work {
        let id = work.fulfillment_order_id;
        name(
            work.order_id,
            known.work.contains(&(work.order_id, id)),
            "the order service",
            id,
            "fulfillment order",
        );
    }
    for shipment in &facts.order.shipments {
        let found = known.shipped.contains(&(shipment.order_id, shipment.id));
        name(
            shipment.order_id,
            found,
            "the order service",
            shipment.id,
            "handed-over shipment",
        );
    }
    for shipment in &facts.shipping.shipments {
        let order = shipment.order_id;
        if let Some(id) = shipment.fulfillment_order_id {
            name(
                order,
                known.work.contains(&(order, id)),
                "a shipment",
                id,
                "fulfillment order",
            );
        }
        if let Some(id) = shipment.return_id {
            name(
                order,
                known.returns.contains(&(order, id)),
                "a shipment",
                id,
                "return",
            );
        }
    }
    for ret in &facts.returns.returns {
        if let Some(id) = ret.shipment_id {
            name(
                ret.order_id,
                known.shipments.contains(&(ret.order_id, id)),
                "a return",
                id,
                "shipment",
            );
        }
    }
}
