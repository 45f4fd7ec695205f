//! What the lane of a SKU tells: each is an event of the aggregate `stock`, numbered by the lane.

use oms_core::LocationId;

use super::expected::ExpectedReceipt;
use super::level::Level;
use super::policy::{Policy, StockPolicy};
use super::standing::{self, Signal};

/// Something that happened to the stock of a SKU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StockFact {
    /// Levels changed; as they are now.
    Changed(Vec<Level>),
    /// Its policy was written.
    Policy(StockPolicy),
    /// Supply that is expected was written or received.
    Expected(ExpectedReceipt),
    /// It is low, out, or back.
    Signal(Signal),
}

impl StockFact {
    /// The location it is about, if it is about one alone.
    pub(crate) fn location(&self) -> Option<&LocationId> {
        match self {
            Self::Changed(_) | Self::Policy(_) => None,
            Self::Expected(receipt) => Some(&receipt.key.location),
            Self::Signal(signal) => signal.location.as_ref(),
        }
    }
}

/// What is told when a policy is written: it, and how the SKU stands where that is another standing now. `available` is
/// what is free over all locations, `at` answers the free units of one.
pub(crate) fn of_policy(
    before: &Policy,
    written: &StockPolicy,
    available: i64,
    at: impl Fn(&LocationId) -> i64,
) -> Vec<StockFact> {
    let before = standing::readings(before, available, &at);
    let after = standing::readings(&written.policy, available, &at);
    let signals = standing::signals(&before, &after);
    let signals = signals.into_iter().map(StockFact::Signal);
    [StockFact::Policy(written.clone())]
        .into_iter()
        .chain(signals)
        .collect()
}
