//! What must be true when nothing moves any more: `domain.md` section 10 over the rooms' books.

use std::collections::BTreeMap;

use oms_core::OrderLineId;

use crate::cores::fulfillment::fulfillment_order::Line;
use crate::cores::inventory::account::Account;
use crate::cores::inventory::level::{Buckets, LevelKey};
use crate::cores::inventory::reservation::ReservationState as Stocked;
use crate::cores::order::payment::{Answer, PaymentKind, PaymentState, open_authorizations};
use crate::cores::order::saga::SagaState;
use crate::cores::order::state::OrderState;
use crate::cores::shipping::state::ShipmentState;
use crate::orders::Row;
use crate::rooms::Rooms;

/// Looks at everything.
pub(crate) fn audit(rooms: &Rooms) {
    stock(rooms);
    provider(rooms);
    let orders = rooms.orders.borrow();
    for row in orders.rows.values() {
        ends(rooms, row);
        units(rooms, row);
        money(rooms, row);
    }
    for task in orders.tasks.values().filter(|task| !task.is_done) {
        rooms
            .world
            .violation(format!("work that is not done: {task:?}"));
    }
}

/// Buckets are the ledger's sums, hold what is reserved, and are never below zero; what was shipped was issued once.
fn stock(rooms: &Rooms) {
    let stock = rooms.stock.borrow();
    let mut sums: BTreeMap<LevelKey, Buckets> = BTreeMap::new();
    for entry in &stock.entries {
        let level = sums.entry(entry.key.clone()).or_default();
        for (account, delta) in [(entry.from, -entry.quantity), (entry.to, entry.quantity)] {
            if account_is_bucket(account) && level.add(account, delta).is_err() {
                rooms
                    .world
                    .violation(format!("the ledger takes what is not there: {entry:?}"));
            }
        }
    }
    for (key, buckets) in &stock.levels {
        if sums.get(key).copied().unwrap_or_default() != *buckets {
            rooms.world.violation(format!(
                "{key:?} is {buckets:?}, its ledger {:?}",
                sums.get(key)
            ));
        }
    }
    let rows = |state| -> i64 {
        let rows = stock.reservations.values().flat_map(|one| &one.rows);
        rows.filter(|(key, _)| key.state == state)
            .map(|(_, row)| row.quantity)
            .sum()
    };
    for (account, state) in [
        (Account::Held, Stocked::Held),
        (Account::Allocated, Stocked::Allocated),
    ] {
        if stock.units(account) != rows(state) {
            let (bucket, rows) = (stock.units(account), rows(state));
            rooms
                .world
                .violation(format!("{bucket} units {account:?}, {rows} reserved so"));
        }
    }
    let dock = rooms.dock.borrow();
    let gone = dock
        .shipments
        .values()
        .filter(|one| one.state != ShipmentState::Draft);
    let shipped: i64 = gone
        .flat_map(|one| &one.units)
        .map(|unit| unit.quantity)
        .sum();
    if rows(Stocked::Consumed) != shipped {
        let consumed = rows(Stocked::Consumed);
        rooms
            .world
            .violation(format!("{shipped} units shipped, {consumed} issued"));
    }
}

fn account_is_bucket(account: Account) -> bool {
    matches!(
        account,
        Account::Available | Account::Held | Account::Allocated | Account::CountPending
    )
}

/// Every charge of the provider is a payment of ours, every settled payment one charge, each once.
fn provider(rooms: &Rooms) {
    let (orders, provider) = (rooms.orders.borrow(), rooms.provider.borrow());
    let ledger: Vec<_> = orders.rows.values().flat_map(|row| &row.ledger).collect();
    for charge in &provider.charges {
        let ours: Vec<_> = ledger
            .iter()
            .filter(|one| one.payment_id.to_string() == charge.key)
            .collect();
        let fits = ours.first().is_some_and(|one| {
            (one.kind, one.amount) == (charge.kind, charge.amount)
                && (one.state == PaymentState::Succeeded) == charge.reference().is_some()
        });
        if !fits {
            rooms
                .world
                .violation(format!("a charge that is no payment of ours: {charge:?}"));
        }
        let same = provider
            .charges
            .iter()
            .filter(|one| one.key == charge.key)
            .count();
        if same > 1 {
            rooms
                .world
                .violation(format!("{same} charges under one key: {charge:?}"));
        }
        if let Answer::Approved { .. } = charge.answer {
            late(rooms, &provider.charges, charge);
        }
    }
    for payment in &ledger {
        let known = provider
            .charges
            .iter()
            .any(|one| one.key == payment.payment_id.to_string());
        if payment.state == PaymentState::Succeeded && !known {
            rooms.world.violation(format!(
                "a payment that the provider has not made: {payment:?}"
            ));
        }
        if !payment.state.is_settled() {
            rooms
                .world
                .violation(format!("a payment without an answer: {payment:?}"));
        }
    }
}

fn late(rooms: &Rooms, charges: &[crate::psp::Charge], charge: &crate::psp::Charge) {
    let parent = charges
        .iter()
        .find(|one| one.reference() == Some(charge.parent.as_str()));
    let end = parent
        .and_then(|one| one.expires_at)
        .filter(|_| charge.kind == PaymentKind::Capture);
    if end.is_some_and(|end| end <= charge.at) {
        rooms.world.violation(format!(
            "captured after the end of its authorization: {charge:?}"
        ));
    }
}

/// Every order and saga has ended, and an order that has keeps nothing.
fn ends(rooms: &Rooms, row: &Row) {
    let id = row.order.order_id;
    if row.saga.state != SagaState::Done || !row.order.state.is_final() {
        let (saga, order) = (row.saga.state, row.order.state);
        rooms.world.violation(format!(
            "order {id} is {order:?}, its saga {saga:?} at {:?}",
            row.saga.step
        ));
        return;
    }
    let stock = rooms.stock.borrow();
    for line in &row.order.lines {
        for state in [Stocked::Held, Stocked::Allocated, Stocked::Backordered] {
            let units = stock.reserved(line.order_line_id, state);
            if units > 0 {
                rooms
                    .world
                    .violation(format!("order {id} has ended with {units} units {state:?}"));
            }
        }
    }
    for (authorization, left) in open_authorizations(&row.ledger) {
        let cause = &authorization.cause;
        rooms.world.violation(format!(
            "order {id} has ended with {left} authorized for {cause}"
        ));
    }
    if row.order.state != OrderState::Completed
        && row.order.money.captured != row.order.money.refunded
    {
        rooms.world.violation(format!(
            "order {id} is {:?} and keeps money",
            row.order.state
        ));
    }
}

/// Counters are the sums of what the other rooms did; no unit is worked on twice.
fn units(rooms: &Rooms, row: &Row) {
    let (stock, floor, dock) = (
        rooms.stock.borrow(),
        rooms.floor.borrow(),
        rooms.dock.borrow(),
    );
    let worked = |line: OrderLineId, count: fn(&Line) -> i64| -> i64 {
        let lines = floor.works.values().flat_map(|one| &one.lines);
        lines
            .filter(|one| one.order_line_id == line)
            .map(count)
            .sum()
    };
    for line in &row.order.lines {
        let (id, counters) = (line.order_line_id, line.counters);
        let handed_over = |state: fn(ShipmentState) -> bool| -> i64 {
            let gone = dock.shipments.values().filter(|one| state(one.state));
            let units = gone.flat_map(|one| &one.units);
            units
                .filter(|unit| unit.order_line == id)
                .map(|unit| unit.quantity)
                .sum()
        };
        let shipped = handed_over(|state| state != ShipmentState::Draft);
        let facts = [
            ("shipped", counters.shipped, shipped),
            (
                "delivered",
                counters.delivered,
                handed_over(|state| state == ShipmentState::Delivered),
            ),
            ("issued", stock.reserved(id, Stocked::Consumed), shipped),
            (
                "shipped by the floor",
                worked(id, |one| one.shipped),
                shipped,
            ),
            ("packed", worked(id, |one| one.packed), shipped),
            (
                "worked on",
                worked(id, |one| one.total - one.short - one.canceled),
                shipped,
            ),
        ];
        for (what, ours, theirs) in facts {
            if ours != theirs {
                rooms
                    .world
                    .violation(format!("order line {id}: {ours} {what}, {theirs} were"));
            }
        }
        if row.order.state == OrderState::Completed
            && counters.canceled + counters.shipped != line.ordered
        {
            rooms
                .world
                .violation(format!("order line {id}: {counters:?} of {}", line.ordered));
        }
    }
}

/// Captured is invoiced is what the shipped units cost; a full return pays exactly that back.
fn money(rooms: &Rooms, row: &Row) {
    let id = row.order.order_id;
    let money = row.order.money;
    let cost = |units: fn(&crate::cores::order::order::OrderLine) -> i64| -> i64 {
        row.order
            .lines
            .iter()
            .map(|line| line.part(0, units(line)).total)
            .sum()
    };
    let (shipped, refunded) = (
        cost(|line| line.counters.shipped),
        cost(|line| line.counters.refunded),
    );
    if money.captured != shipped {
        rooms.world.violation(format!(
            "order {id}: {} captured, {shipped} shipped",
            money.captured
        ));
    }
    if money.refunded != refunded {
        rooms.world.violation(format!(
            "order {id}: {} refunded, {refunded} came back",
            money.refunded
        ));
    }
    let sum = |kind| -> i64 {
        let done = row
            .ledger
            .iter()
            .filter(|one| one.kind == kind && one.state == PaymentState::Succeeded);
        done.map(|one| one.amount).sum()
    };
    if sum(PaymentKind::Capture) + sum(PaymentKind::Void) > sum(PaymentKind::Authorization) {
        rooms
            .world
            .violation(format!("order {id}: more captured than authorized"));
    }
}
