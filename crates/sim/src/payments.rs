//! How a payment is brought to the provider, as `payments/effects.rs` of the order service does it: written before it is
//! sent, looked up before it is sent again.

use std::rc::Rc;

use oms_core::{OrderId, PaymentId};
use time::Duration;

use crate::cores::order::payment::{Answer, Payment, PaymentKind, PaymentState};
use crate::psp::Asked;
use crate::rooms::Rooms;
use crate::world::{Lost, Sabotage};

/// Age at which a call that the provider has not seen is not under way any more. Longer than any message is late.
const RECONCILE_AFTER: Duration = Duration::seconds(30);

/// Brings a planned payment to the provider and writes the answer. [`Lost`]: come again.
pub(crate) async fn bring(rooms: &Rc<Rooms>, order: OrderId, id: PaymentId) -> Result<(), Lost> {
    let Some(payment) = read(rooms, order, id).await? else {
        return Ok(());
    };
    if payment.state.is_settled() {
        return Ok(());
    }
    let mut asked = asked(rooms, &payment);
    if payment.state == PaymentState::Initiated {
        if !take(rooms, &payment).await? {
            return Err(Lost);
        }
    } else if rooms.world.is_sabotaged(Sabotage::BlindResend) {
        asked.key = format!("{}/again", asked.key);
    } else if let Some(answer) = lookup(rooms, &asked.key).await? {
        return write(rooms, order, id, answer).await;
    } else {
        // In one commit: what is found INITIATED was never sent.
        let again = [PaymentState::Pending, PaymentState::InDoubt];
        if !set(rooms, &payment, &again, PaymentState::Pending).await? {
            return Err(Lost);
        }
    }
    send(rooms, order, id, asked).await
}

/// The call itself, and the answer.
pub(crate) async fn send(
    rooms: &Rc<Rooms>,
    order: OrderId,
    id: PaymentId,
    asked: Asked,
) -> Result<(), Lost> {
    let (provider, world) = (Rc::clone(&rooms.provider), Rc::clone(&rooms.world));
    let answered = rooms
        .world
        .call("provider", move || {
            provider.borrow_mut().book(&world, &asked)
        })
        .await;
    let Ok(answer) = answered else {
        let payment = read(rooms, order, id).await?;
        if let Some(payment) = payment {
            set(
                rooms,
                &payment,
                &[PaymentState::Pending],
                PaymentState::InDoubt,
            )
            .await?;
        }
        return Err(Lost);
    };
    write(rooms, order, id, answer).await
}

/// Settles an authorization that nobody wants any more, without sending it.
pub(crate) async fn settle_unwanted(
    rooms: &Rc<Rooms>,
    order: OrderId,
    id: PaymentId,
) -> Result<(), Lost> {
    let Some(payment) = read(rooms, order, id).await? else {
        return Ok(());
    };
    let declined = |code: &str| Answer::Declined {
        code: code.to_owned(),
    };
    let answer = match payment.state {
        PaymentState::Succeeded | PaymentState::Failed => return Ok(()),
        PaymentState::Initiated => declined("not_sent"),
        PaymentState::Pending | PaymentState::InDoubt => {
            match lookup(rooms, &payment.payment_id.to_string()).await? {
                Some(answer) => answer,
                None if rooms.world.now() - payment.updated_at < RECONCILE_AFTER => {
                    return Err(Lost);
                }
                None => declined("never_arrived"),
            }
        }
    };
    write(rooms, order, id, answer).await
}

/// What is asked of the provider.
pub(crate) fn asked(rooms: &Rooms, payment: &Payment) -> Asked {
    let orders = rooms.orders.borrow();
    let row = orders.rows.get(&payment.order_id);
    let parent = payment.parent_payment_id.and_then(|id| row?.payment(id));
    Asked {
        key: payment.payment_id.to_string(),
        kind: payment.kind,
        amount: payment.amount,
        parent: parent
            .map(|one| one.provider_reference.clone())
            .unwrap_or_default(),
        is_bad: payment.kind == PaymentKind::Authorization
            && row.is_some_and(|row| row.has_bad_card),
    }
}

async fn read(rooms: &Rc<Rooms>, order: OrderId, id: PaymentId) -> Result<Option<Payment>, Lost> {
    rooms.world.time_passes(4).await;
    let orders = rooms.orders.borrow();
    Ok(orders
        .rows
        .get(&order)
        .and_then(|row| row.payment(id))
        .cloned())
}

/// The right to send.
async fn take(rooms: &Rc<Rooms>, payment: &Payment) -> Result<bool, Lost> {
    set(
        rooms,
        payment,
        &[PaymentState::Initiated],
        PaymentState::Pending,
    )
    .await
}

async fn set(
    rooms: &Rc<Rooms>,
    payment: &Payment,
    from: &[PaymentState],
    to: PaymentState,
) -> Result<bool, Lost> {
    let now = rooms.world.now();
    let commit = || {
        let mut orders = rooms.orders.borrow_mut();
        let row = orders.rows.get_mut(&payment.order_id);
        row.is_some_and(|row| row.set(payment.payment_id, from, to, now))
    };
    rooms.world.commit(commit).await
}

async fn lookup(rooms: &Rc<Rooms>, key: &str) -> Result<Option<Answer>, Lost> {
    let (provider, key) = (Rc::clone(&rooms.provider), key.to_owned());
    rooms
        .world
        .call("provider", move || provider.borrow().lookup(&key))
        .await
}

async fn write(
    rooms: &Rc<Rooms>,
    order: OrderId,
    id: PaymentId,
    answer: Answer,
) -> Result<(), Lost> {
    let commit = || {
        rooms
            .orders
            .borrow_mut()
            .record(&rooms.world, order, id, &answer);
    };
    rooms.world.commit(commit).await
}
