//! When an order is at its end.

use super::cancellation::Cancellation;
use super::order::{Order, OrderLine, PaymentPolicy};
use super::payment::{Payment, PaymentKind, PaymentState};
use super::refund::is_goodwill;
use super::state::OrderState;
use super::status::{Coverage, MoneyFacts, charge_status};

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settlement {
    /// Something is still to be done.
    Open,
    /// Everything is delivered or canceled, and paid.
    Complete,
    /// Every unit was canceled.
    Cancel,
}

/// True when nothing is left to be done with the goods, so that only money can keep the order open: every unit that is
/// not canceled was delivered, or all of them came back (a parcel that was refused at the door is never delivered).
pub(crate) fn goods_have_ended(order: &Order) -> bool {
    let open_cancellation = order.cancellations.iter().any(Cancellation::is_open);
    let ended = |line: &OrderLine| {
        line.counters.delivered >= line.live() || line.counters.refunded >= line.live()
    };
    order.state == OrderState::Confirmed && !open_cancellation && order.lines.iter().all(ended)
}

/// Where an order stands, by its payments.
pub(crate) fn settlement(order: &Order, payments: &[Payment]) -> Settlement {
    if !goods_have_ended(order) {
        return Settlement::Open;
    }
    if order.lines.iter().all(|line| line.live() == 0) {
        return Settlement::Cancel;
    }
    if payments.iter().any(|payment| !payment.state.is_settled()) {
        return Settlement::Open;
    }
    // What was given back out of goodwill was paid before: nobody owes it again.
    let goodwill: i64 = payments
        .iter()
        .filter(|one| one.kind == PaymentKind::Refund && one.state == PaymentState::Succeeded)
        .filter(|one| is_goodwill(&one.cause))
        .map(|one| one.amount)
        .sum();
    let money = MoneyFacts {
        refunded: order.money.refunded - goodwill,
        ..order.money
    };
    let covered = matches!(charge_status(order, money), Coverage::Full | Coverage::Over);
    if covered || order.payment_policy == PaymentPolicy::None {
        return Settlement::Complete;
    }
    Settlement::Open
}
