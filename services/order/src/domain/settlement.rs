//! When an order is at its end.

use super::cancellation::Cancellation;
use super::order::{Order, OrderLine, PaymentPolicy};
use super::state::OrderState;
use super::status::{Coverage, charge_status};

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

/// Where an order stands. `unsettled_payment` says that a payment transaction has no answer yet.
pub(crate) fn settlement(order: &Order, unsettled_payment: bool) -> Settlement {
    let open_cancellation = order.cancellations.iter().any(Cancellation::is_open);
    if order.state != OrderState::Confirmed || open_cancellation {
        return Settlement::Open;
    }
    if order.lines.iter().all(|line| line.live() == 0) {
        return Settlement::Cancel;
    }
    let ended = |line: &OrderLine| line.counters.delivered >= line.live();
    if !order.lines.iter().all(ended) || unsettled_payment {
        return Settlement::Open;
    }
    let covered = matches!(
        charge_status(order, order.money),
        Coverage::Full | Coverage::Over
    );
    if covered || order.payment_policy == PaymentPolicy::None {
        return Settlement::Complete;
    }
    Settlement::Open
}
