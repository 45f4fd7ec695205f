//! What is derived from an order's facts and never written by anybody.

use super::order::{HoldBlock, Order};
use super::state::OrderState;

/// Money of an order in minor units, summed over its payment ledger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct MoneyFacts {
    /// Authorized and neither captured nor voided.
    pub(crate) authorized: i64,
    /// Captured.
    pub(crate) captured: i64,
    /// Refunded.
    pub(crate) refunded: i64,
}

impl MoneyFacts {
    /// From the sums of succeeded authorizations, captures, voids and refunds, in this order.
    pub(crate) fn from_sums(sums: &[i64]) -> Self {
        let sum = |place: usize| sums.get(place).copied().unwrap_or_default();
        let (authorizations, captured, voided, refunded) = (sum(0), sum(1), sum(2), sum(3));
        Self {
            authorized: authorizations - captured - voided,
            captured,
            refunded,
        }
    }
}

/// How far the goods are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FulfillmentStatus {
    /// Nothing shipped.
    Unfulfilled,
    /// Some shipped.
    PartiallyFulfilled,
    /// All shipped.
    Fulfilled,
    /// Some delivered.
    PartiallyDelivered,
    /// All delivered.
    Delivered,
    /// Nothing needs to ship.
    NotRequired,
}

/// How much is authorized or captured of what is owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coverage {
    /// Nothing.
    None,
    /// Some.
    Partial,
    /// All.
    Full,
    /// More than is owed.
    Over,
}

/// How far returns are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReturnStatus {
    /// None.
    None,
    /// Asked for.
    Requested,
    /// Some came back.
    PartiallyReturned,
    /// All that shipped came back.
    Returned,
}

/// Goods: every unit that is not canceled counts.
pub(crate) fn fulfillment_status(order: &Order) -> FulfillmentStatus {
    let sum =
        |count: fn(&super::order::OrderLine) -> i64| order.lines.iter().map(count).sum::<i64>();
    let live = sum(super::order::OrderLine::live);
    let shipped = sum(|line| line.counters.shipped);
    let delivered = sum(|line| line.counters.delivered);
    match () {
        () if live == 0 => FulfillmentStatus::NotRequired,
        () if delivered >= live => FulfillmentStatus::Delivered,
        () if delivered > 0 => FulfillmentStatus::PartiallyDelivered,
        () if shipped >= live => FulfillmentStatus::Fulfilled,
        () if shipped > 0 => FulfillmentStatus::PartiallyFulfilled,
        () => FulfillmentStatus::Unfulfilled,
    }
}

/// Authorization: what is authorized plus what is captured, against what is owed.
pub(crate) fn authorize_status(order: &Order, money: MoneyFacts) -> Coverage {
    match coverage(money.authorized + money.captured, order.owed()) {
        Coverage::Over => Coverage::Full,
        other => other,
    }
}

/// Charge: what is captured and kept, against what is owed after cancellations and refunded returns.
pub(crate) fn charge_status(order: &Order, money: MoneyFacts) -> Coverage {
    let returned: i64 = order
        .lines
        .iter()
        .map(|line| line.part(0, line.counters.refunded).total)
        .sum();
    coverage(money.captured - money.refunded, order.owed() - returned)
}

fn coverage(have: i64, owed: i64) -> Coverage {
    match () {
        () if have > owed.max(0) => Coverage::Over,
        () if have == 0 && owed > 0 => Coverage::None,
        () if have == owed => Coverage::Full,
        () => Coverage::Partial,
    }
}

/// Returns over all lines.
pub(crate) fn return_status(order: &Order) -> ReturnStatus {
    let shipped: i64 = order.lines.iter().map(|line| line.counters.shipped).sum();
    let returned: i64 = order.lines.iter().map(|line| line.counters.returned).sum();
    let requested: i64 = order
        .lines
        .iter()
        .map(|line| line.counters.return_requested)
        .sum();
    match () {
        () if returned > 0 && returned >= shipped => ReturnStatus::Returned,
        () if returned > 0 => ReturnStatus::PartiallyReturned,
        () if requested > 0 => ReturnStatus::Requested,
        () => ReturnStatus::None,
    }
}

/// What an operator sees first: the first of these that is true.
pub(crate) fn phase(order: &Order) -> &'static str {
    let any = |test: fn(&super::order::OrderLine) -> bool| order.lines.iter().any(test);
    let status = fulfillment_status(order);
    match order.state {
        OrderState::Canceled => "CANCELED",
        OrderState::Rejected => "REJECTED",
        OrderState::Expired => "EXPIRED",
        _ if status == FulfillmentStatus::Delivered => "DELIVERED",
        _ if matches!(
            status,
            FulfillmentStatus::Fulfilled | FulfillmentStatus::PartiallyDelivered
        ) =>
        {
            "IN_TRANSIT"
        }
        _ if order.is_blocked(HoldBlock::Confirm) || order.is_blocked(HoldBlock::ReleaseToNode) => {
            "ON_HOLD"
        }
        _ if any(|line| line.counters.backordered > 0) => "BACKORDERED",
        OrderState::Pending => "PENDING",
        _ if any(|line| line.counters.packed > line.counters.shipped) => "PACKING",
        _ if any(|line| line.counters.picked > line.counters.packed) => "PICKING",
        _ if any(|line| line.counters.allocated > 0) => "RELEASED",
        _ => "READY",
    }
}
