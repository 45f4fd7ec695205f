//! Relations between services: the same units and the same money, counted by each of them.

pub(super) mod feeds;
mod parents;
mod stock;
mod work;

use std::collections::BTreeMap;

use uuid::Uuid;

use super::invariant::{Invariant, Relation, relation};

pub(super) const ALL: &[Invariant] = &[
    relation(
        "between.units_are_accounted_for",
        "once an order is confirmed, every unit of it is canceled, allocated, backordered or shipped, or was just \
         found missing by a picker and is being sourced again",
        stock::units_are_accounted_for,
    ),
    relation(
        "between.reservations_equal_copies",
        "an order's copy of a reservation has inventory's version and the same lines",
        stock::reservations_equal_copies,
    ),
    relation(
        "between.ended_orders_reserve_nothing",
        "an order that has ended has no unit held, allocated or waiting for stock in inventory",
        stock::ended_orders_reserve_nothing,
    ),
    relation(
        "between.issued_equals_shipped",
        "what inventory issued for a shipment is what lies in its packages",
        stock::issued_equals_shipped,
    ),
    relation(
        "between.consumed_equals_shipped",
        "per order line: consumed in inventory = handed over in shipping",
        stock::consumed_equals_shipped,
    ),
    relation(
        "between.order_shipped_equals_shipping",
        "per order line: shipped in the order = handed over in shipping",
        work::order_shipped_equals_shipping,
    ),
    relation(
        "between.order_delivered_equals_shipping",
        "per order line: delivered in the order = units of delivered shipments",
        work::order_delivered_equals_shipping,
    ),
    relation(
        "between.order_picked_equals_fulfillment",
        "per order line: picked in the order = picked in all its fulfillment orders",
        work::order_picked_equals_fulfillment,
    ),
    relation(
        "between.order_packed_equals_fulfillment",
        "per order line: packed in the order = packed in all its fulfillment orders",
        work::order_packed_equals_fulfillment,
    ),
    relation(
        "between.fulfillment_shipped_equals_shipping",
        "per order line: shipped in fulfillment orders = handed over in shipping",
        work::fulfillment_shipped_equals_shipping,
    ),
    relation(
        "between.no_unit_in_two_fulfillment_orders",
        "the units that fulfillment orders are to ship, or have shipped, are allocated or shipped in the order: none \
         is worked on twice",
        work::no_unit_in_two_fulfillment_orders,
    ),
    relation(
        "between.ended_orders_have_no_open_work",
        "an order that has ended has no fulfillment order that is open, on hold or in progress",
        work::ended_orders_have_no_open_work,
    ),
    relation(
        "between.pack_sessions_become_shipments",
        "shipping knows every closed pack session with the units that were scanned, and no other",
        work::pack_sessions_become_shipments,
    ),
    relation(
        "between.order_returns_equal_returns",
        "per order line: returned and refunded in the order = received and paid in its returns",
        work::order_returns_equal_returns,
    ),
    relation(
        "between.refunded_money_equals_returns",
        "per order: money refunded for returns = what its returns say was paid back",
        work::refunded_money_equals_returns,
    ),
    relation(
        "between.returned_stock_equals_returns",
        "per return line: what inventory booked in, restocked, set apart and scrapped is what the return says",
        stock::returned_stock_equals_returns,
    ),
    relation(
        "between.returned_within_shipped",
        "per order line: no more is received back than was shipped",
        work::returned_within_shipped,
    ),
    relation(
        "between.children_have_parents",
        "reservations, fulfillment orders, shipments and returns, and their lines, belong to an order and a line that \
         exist; so do the things that one names of another",
        parents::children_have_parents,
    ),
];

/// Compares two counts per thing. The keys name the order and the thing.
fn compare(
    thing: &str,
    left: (&str, BTreeMap<(Uuid, Uuid), i64>),
    right: (&str, BTreeMap<(Uuid, Uuid), i64>),
) -> Relation {
    let (left_name, left) = left;
    let (right_name, right) = right;
    let mut relation = Relation::default();
    for key in left
        .keys()
        .chain(right.keys().filter(|key| !left.contains_key(key)))
    {
        let ours = left.get(key).copied().unwrap_or_default();
        let theirs = right.get(key).copied().unwrap_or_default();
        let (order, id) = key;
        relation.judge(
            *order,
            (ours != theirs)
                .then(|| format!("{thing} {id}: {ours} {left_name}, {theirs} {right_name}")),
        );
    }
    relation
}

/// Sums counts per order and thing; zeros are left out, so that a thing that is unknown counts as zero.
fn sums(rows: impl Iterator<Item = (Uuid, Uuid, i64)>) -> BTreeMap<(Uuid, Uuid), i64> {
    let mut sums = BTreeMap::new();
    for (order, id, units) in rows.filter(|(_, _, units)| *units != 0) {
        *sums.entry((order, id)).or_default() += units;
    }
    sums
}
