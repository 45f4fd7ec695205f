//! Counters of orders against the work that they count.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use super::stock::has_ended;
use super::{compare, sums};
use crate::verify::facts::{Facts, OrderLine, Session, WorkLine};
use crate::verify::invariant::Relation;

type Sums = BTreeMap<(Uuid, Uuid), i64>;

fn of_orders(facts: &Facts, count: fn(&OrderLine) -> i64) -> Sums {
    let lines = facts.order.lines.iter();
    sums(lines.map(|line| (line.order_id, line.order_line_id, count(line))))
}

fn of_work(facts: &Facts, count: fn(&WorkLine) -> i64) -> Sums {
    let lines = facts.fulfillment.lines.iter();
    sums(lines.map(|line| (line.order_id, line.order_line_id, count(line))))
}

fn of_shipments(facts: &Facts, is_delivered: bool) -> Sums {
    let lines = facts.shipping.shipped.iter();
    let lines = lines.filter(|line| line.is_delivered || !is_delivered);
    sums(lines.map(|line| (line.order_id, line.order_line_id, line.units)))
}

pub(super) fn order_shipped_equals_shipping(facts: &Facts) -> Relation {
    compare(
        "order line",
        (
            "shipped in the order",
            of_orders(facts, |line| line.shipped),
        ),
        ("in shipping", of_shipments(facts, false)),
    )
}

pub(super) fn order_delivered_equals_shipping(facts: &Facts) -> Relation {
    compare(
        "order line",
        (
            "delivered in the order",
            of_orders(facts, |line| line.delivered),
        ),
        ("in shipping", of_shipments(facts, true)),
    )
}

pub(super) fn order_picked_equals_fulfillment(facts: &Facts) -> Relation {
    compare(
        "order line",
        ("picked in the order", of_orders(facts, |line| line.picked)),
        ("in fulfillment", of_work(facts, |line| line.picked)),
    )
}

pub(super) fn order_packed_equals_fulfillment(facts: &Facts) -> Relation {
    compare(
        "order line",
        ("packed in the order", of_orders(facts, |line| line.packed)),
        ("in fulfillment", of_work(facts, |line| line.packed)),
    )
}

pub(super) fn fulfillment_shipped_equals_shipping(facts: &Facts) -> Relation {
    compare(
        "order line",
        (
            "shipped in fulfillment",
            of_work(facts, |line| line.shipped),
        ),
        ("in shipping", of_shipments(facts, false)),
    )
}

pub(super) fn no_unit_in_two_fulfillment_orders(facts: &Facts) -> Relation {
    let orders = of_orders(facts, |line| line.allocated + line.shipped);
    let mut relation = Relation::default();
    for (key, live) in of_work(facts, |line| line.live) {
        let (order, line) = key;
        let own = orders.get(&key).copied().unwrap_or_default();
        relation.judge(
            order,
            (live > own).then(|| {
                format!(
                    "order line {line}: {live} in fulfillment orders, {own} allocated or shipped"
                )
            }),
        );
    }
    relation
}

pub(super) fn ended_orders_have_no_open_work(facts: &Facts) -> Relation {
    let states: HashMap<Uuid, &str> = facts
        .order
        .lines
        .iter()
        .map(|line| (line.order_id, line.state.as_str()))
        .collect();
    let mut relation = Relation::default();
    for work in &facts.fulfillment.work {
        let state = states.get(&work.order_id).copied().unwrap_or_default();
        let is_open = matches!(work.state.as_str(), "OPEN" | "ON_HOLD" | "IN_PROGRESS");
        relation.judge(
            work.order_id,
            (is_open && has_ended(state)).then(|| {
                format!(
                    "order {} is {state}, its fulfillment order {} is {}",
                    work.order_id, work.fulfillment_order_id, work.state
                )
            }),
        );
    }
    relation
}

pub(super) fn pack_sessions_become_shipments(facts: &Facts) -> Relation {
    let of = |sessions: &[Session]| -> BTreeMap<Uuid, (Uuid, Uuid, String)> {
        sessions
            .iter()
            .map(|one| {
                let what = (one.order_id, one.fulfillment_order_id, one.units.clone());
                (one.pack_session_id, what)
            })
            .collect()
    };
    let closed = of(&facts.fulfillment.sessions);
    let mut told = of(&facts.shipping.sessions);
    let mut relation = Relation::default();
    for (id, packed) in closed {
        let (order, _, units) = &packed;
        let wrong = match told.remove(&id) {
            None => Some(format!("pack session {id} is unknown to shipping")),
            Some(known) if known != packed => Some(format!(
                "pack session {id}: [{units}] packed, [{}] in shipping",
                known.2
            )),
            Some(_) => None,
        };
        relation.judge(*order, wrong);
    }
    for (id, (order, _, _)) in told {
        let what = format!("pack session {id} of shipping is not closed in fulfillment");
        relation.judge(order, Some(what));
    }
    relation
}

pub(super) fn order_returns_equal_returns(facts: &Facts) -> Relation {
    let returns = || facts.returns.lines.iter();
    let mut relation = compare(
        "order line",
        (
            "returned in the order",
            of_orders(facts, |line| line.returned),
        ),
        (
            "received in returns",
            sums(returns().map(|line| (line.order_id, line.order_line_id, line.received))),
        ),
    );
    let refunds = compare(
        "order line",
        (
            "refunded in the order",
            of_orders(facts, |line| line.refunded),
        ),
        (
            "paid in returns",
            sums(returns().map(|line| (line.order_id, line.order_line_id, line.refund_paid))),
        ),
    );
    relation.checked += refunds.checked;
    relation.violations.extend(refunds.violations);
    relation
}

pub(super) fn refunded_money_equals_returns(facts: &Facts) -> Relation {
    let orders = facts.order.refunds.iter();
    let returns = facts.returns.returns.iter();
    compare(
        "order",
        (
            "refunded by the order",
            sums(orders.map(|refund| (refund.order_id, refund.order_id, refund.amount))),
        ),
        (
            "paid back in returns",
            sums(returns.map(|ret| (ret.order_id, ret.order_id, ret.refunded))),
        ),
    )
}

pub(super) fn returned_within_shipped(facts: &Facts) -> Relation {
    let shipped = of_shipments(facts, false);
    let received = facts.returns.lines.iter();
    let received = sums(received.map(|line| (line.order_id, line.order_line_id, line.received)));
    let mut relation = Relation::default();
    for (key, received) in received {
        let (order, line) = key;
        let shipped = shipped.get(&key).copied().unwrap_or_default();
        relation.judge(
            order,
            (received > shipped)
                .then(|| format!("order line {line}: {received} received back, {shipped} shipped")),
        );
    }
    relation
}
