//! Follow-up work of the order service: captures, renewals, voids, refunds. Rules of the service decide; leases and the
//! order of calls are modelled after `services/order/src/tasks`.

use std::rc::Rc;

use oms_core::{OrderId, PaymentId};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::cores::order::capture;
use crate::cores::order::payment::{
    Answer, Payment, PaymentKind, PaymentState, open_authorizations,
};
use crate::cores::order::refund::{
    captures_are_open, next_cause, part_cause, parts, refundable, spread,
};
use crate::cores::order::renewal::{
    self, Before, LAPSED, Renewal, before_capture, capture_cause, renewal_cause,
};
use crate::orders::{NewPayment, Orders, Row, Task, Work};
use crate::payments;
use crate::rooms::Rooms;
use crate::world::{Lost, Sabotage};

/// Time after which another worker takes work over.
const LEASE: Duration = Duration::seconds(15);
/// Pause before work is looked at again.
const AGAIN: Duration = Duration::seconds(2);
/// More rounds than any work has.
const ROUNDS_MOST: usize = 30;

/// What to do next with a task.
enum Step {
    /// Bring this to the provider.
    Bring(PaymentId),
    /// See that this never comes true.
    Unwanted(PaymentId),
    /// Written down; look again.
    Again,
    /// It is too early.
    Later,
    /// A person decides.
    Stuck,
    /// Nothing is left to do.
    Done,
}

/// Claims due work and does it; runs until it is aborted.
pub(crate) async fn work(rooms: Rc<Rooms>) {
    loop {
        rooms.world.time_passes(2_000).await;
        let now = rooms.world.now();
        if !rooms
            .orders
            .borrow()
            .tasks
            .values()
            .any(|task| is_due(task, now))
        {
            continue;
        }
        let holder = rooms.world.id();
        let claimed = rooms.world.commit(|| claim(&rooms, holder)).await;
        let Ok(Some((id, task))) = claimed else {
            continue;
        };
        // An error leaves it to the lease.
        run(&rooms, holder, id, &task).await.ok();
    }
}

fn is_due(task: &Task, now: OffsetDateTime) -> bool {
    !task.is_done && !task.is_stuck && task.run_at <= now
}

fn claim(rooms: &Rooms, holder: Uuid) -> Option<(Uuid, Task)> {
    let now = rooms.world.now();
    let mut orders = rooms.orders.borrow_mut();
    let (id, task) = orders
        .tasks
        .iter_mut()
        .find(|(_, task)| is_due(task, now))?;
    task.holder = Some(holder);
    task.run_at = now + LEASE;
    Some((*id, task.clone()))
}

async fn run(rooms: &Rc<Rooms>, holder: Uuid, id: Uuid, task: &Task) -> Result<(), Lost> {
    for _ in 0..ROUNDS_MOST {
        let step = rooms.world.commit(|| step(rooms, holder, id, task)).await?;
        match step {
            Step::Bring(payment) => payments::bring(rooms, task.order, payment).await?,
            Step::Unwanted(payment) => {
                payments::settle_unwanted(rooms, task.order, payment).await?;
            }
            Step::Again => {}
            Step::Later | Step::Stuck | Step::Done => return Ok(()),
        }
    }
    Ok(())
}

/// One transaction: looks at the ledger, writes down what is next.
fn step(rooms: &Rooms, holder: Uuid, id: Uuid, task: &Task) -> Step {
    let now = rooms.world.now();
    let mut orders = rooms.orders.borrow_mut();
    if orders
        .tasks
        .get(&id)
        .is_none_or(|task| task.holder != Some(holder))
    {
        return Step::Later;
    }
    let step = match &task.work {
        Work::Capture(cause) => capture_step(rooms, &mut orders, task.order, cause),
        Work::Renew(old) => renewal_step(rooms, &mut orders, task.order, *old),
        Work::Void => void_step(rooms, &mut orders, task.order),
        Work::Refund(cause, amount) => refund_step(rooms, &mut orders, task.order, cause, *amount),
    };
    match step {
        Step::Done => orders.settle(&rooms.world, task.order),
        Step::Stuck => rooms.world.saw("parked"),
        _ => {}
    }
    if let Some(task) = orders.tasks.get_mut(&id) {
        task.is_done |= matches!(step, Step::Done);
        task.is_stuck |= matches!(step, Step::Stuck);
        if matches!(step, Step::Later) {
            task.run_at = now + AGAIN;
        }
    }
    step
}

fn first_open(all: &[Payment]) -> Option<PaymentId> {
    all.iter()
        .find(|one| !one.state.is_settled())
        .map(|one| one.payment_id)
}

fn capture_step(rooms: &Rooms, orders: &mut Orders, order: OrderId, cause: &str) -> Step {
    let now = rooms.world.now();
    let Some(row) = orders.rows.get_mut(&order) else {
        return Step::Done;
    };
    let ledger = row.ledger.clone();
    let all: Vec<Payment> = parts(&ledger, PaymentKind::Capture, cause)
        .into_iter()
        .cloned()
        .collect();
    for part in all
        .iter()
        .filter(|_| !rooms.world.is_sabotaged(Sabotage::NoRenewal))
    {
        match before_capture(&ledger, part, now) {
            Before::Send => {}
            Before::Run(own) => return Step::Bring(own.payment_id),
            Before::Refused(_) if part.state.is_settled() => {}
            Before::Refused(_) => {
                lapse(rooms, orders, part);
                return Step::Again;
            }
            Before::Authorize => {
                rooms.world.saw("late capture");
                let cause = capture_cause(part);
                let new = authorization(part.amount, &cause);
                return Step::Bring(row.plan(&new, now).payment_id);
            }
            Before::Switch(other) => {
                let new = NewPayment {
                    kind: PaymentKind::Capture,
                    amount: part.amount,
                    parent: Some(other.payment_id),
                    cause: &next_cause(&part.cause),
                    state: PaymentState::Initiated,
                };
                row.plan(&new, now);
                lapse(rooms, orders, part);
                return Step::Again;
            }
        }
    }
    if let Some(open) = first_open(&all) {
        return Step::Bring(open);
    }
    let owed = row.order.owed();
    if capture::declined(&ledger, cause, owed).is_empty() {
        return Step::Done;
    }
    Step::Stuck
}

fn lapse(rooms: &Rooms, orders: &mut Orders, part: &Payment) {
    let answer = Answer::Declined {
        code: LAPSED.to_owned(),
    };
    orders.record(&rooms.world, part.order_id, part.payment_id, &answer);
}

fn authorization(amount: i64, cause: &str) -> NewPayment<'_> {
    NewPayment {
        kind: PaymentKind::Authorization,
        amount,
        parent: None,
        cause,
        state: PaymentState::Initiated,
    }
}

fn renewal_step(rooms: &Rooms, orders: &mut Orders, order: OrderId, old: PaymentId) -> Step {
    let now = rooms.world.now();
    let Some(row) = orders.rows.get_mut(&order) else {
        return Step::Done;
    };
    let ledger = row.ledger.clone();
    let Some(old) = ledger.iter().find(|one| one.payment_id == old) else {
        return Step::Done;
    };
    match renewal::next(row.order.state, row.order.owed(), &ledger, old) {
        Renewal::Done => Step::Done,
        Renewal::Later => Step::Later,
        Renewal::Run(payment) => Step::Bring(payment.payment_id),
        Renewal::Unwanted(payment) => Step::Unwanted(payment.payment_id),
        Renewal::Declined(_) => Step::Stuck,
        Renewal::Authorize(amount) => {
            rooms.world.saw("renewal");
            let cause = renewal_cause(old);
            Step::Bring(row.plan(&authorization(amount, &cause), now).payment_id)
        }
        Renewal::GiveUp(one, left) => Step::Bring(plan_void(row, one, left, now).payment_id),
    }
}

fn plan_void(row: &mut Row, authorization: &Payment, left: i64, now: OffsetDateTime) -> Payment {
    let new = NewPayment {
        kind: PaymentKind::Void,
        amount: left,
        parent: Some(authorization.payment_id),
        cause: &authorization.cause,
        state: PaymentState::Initiated,
    };
    row.plan(&new, now)
}

fn void_step(rooms: &Rooms, orders: &mut Orders, order: OrderId) -> Step {
    let now = rooms.world.now();
    let Some(row) = orders.rows.get_mut(&order) else {
        return Step::Done;
    };
    let ledger = row.ledger.clone();
    if captures_are_open(&ledger) {
        return Step::Later;
    }
    for (one, left) in open_authorizations(&ledger) {
        plan_void(row, one, left, now);
    }
    let voids: Vec<Payment> = row
        .ledger
        .iter()
        .filter(|one| one.kind == PaymentKind::Void)
        .cloned()
        .collect();
    first_open(&voids).map_or(Step::Done, Step::Bring)
}

fn refund_step(
    rooms: &Rooms,
    orders: &mut Orders,
    order: OrderId,
    cause: &str,
    amount: i64,
) -> Step {
    let now = rooms.world.now();
    let Some(row) = orders.rows.get_mut(&order) else {
        return Step::Done;
    };
    let invoiced: i64 = row.invoices.iter().map(|(_, cost)| cost).sum();
    if row.order.money.captured < invoiced {
        return Step::Later;
    }
    let ledger = row.ledger.clone();
    if parts(&ledger, PaymentKind::Refund, cause).is_empty() {
        for (number, (capture, part)) in
            spread(amount, &refundable(&ledger)).into_iter().enumerate()
        {
            let new = NewPayment {
                kind: PaymentKind::Refund,
                amount: part,
                parent: Some(capture.payment_id),
                cause: &part_cause(cause, number),
                state: PaymentState::Initiated,
            };
            row.plan(&new, now);
        }
    }
    let all: Vec<Payment> = parts(&row.ledger, PaymentKind::Refund, cause)
        .into_iter()
        .cloned()
        .collect();
    first_open(&all).map_or(Step::Done, Step::Bring)
}

/// A person looks at everything that is parked, and has it tried again.
pub(crate) fn retry_all(rooms: &Rooms) {
    let now = rooms.world.now();
    let mut orders = rooms.orders.borrow_mut();
    let stuck: Vec<(Uuid, Task)> = orders
        .tasks
        .iter()
        .filter(|(_, task)| task.is_stuck)
        .map(|(id, task)| (*id, task.clone()))
        .collect();
    for (id, task) in stuck {
        let Some(row) = orders.rows.get_mut(&task.order) else {
            continue;
        };
        row.has_bad_card = false;
        let (ledger, owed) = (row.ledger.clone(), row.order.owed());
        match &task.work {
            Work::Capture(cause) => {
                for (failed, amount) in capture::declined(&ledger, cause, owed) {
                    let new = NewPayment {
                        kind: PaymentKind::Capture,
                        amount,
                        parent: capture::source(&ledger, failed).map(|one| one.payment_id),
                        cause: &next_cause(&failed.cause),
                        state: PaymentState::Initiated,
                    };
                    row.plan(&new, now);
                }
            }
            Work::Renew(old) => {
                let old = ledger.iter().find(|one| one.payment_id == *old);
                let declined = old.map(|old| renewal::next(row.order.state, owed, &ledger, old));
                if let (Some(old), Some(Renewal::Declined(failed))) = (old, declined) {
                    let cause = next_cause(&failed.cause);
                    let amount = renewal::needed(&ledger, owed, old);
                    row.plan(&authorization(amount, &cause), now);
                }
            }
            Work::Void | Work::Refund(..) => {}
        }
        if let Some(task) = orders.tasks.get_mut(&id) {
            (task.is_stuck, task.run_at) = (false, now);
        }
    }
}
