//! Wishes of an order that travel with its work.

use super::machine::Named;

/// What to do when stock is short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FillPolicy {
    /// Everything or nothing.
    FillOrKill,
    /// What is there now; the rest is backordered.
    FillAll,
    /// What is there now; the rest is canceled.
    FillAllAvailable,
}

impl Named for FillPolicy {
    const ALL: &'static [Self] = &[Self::FillOrKill, Self::FillAll, Self::FillAllAvailable];

    fn name(self) -> &'static str {
        match self {
            Self::FillOrKill => "FILL_OR_KILL",
            Self::FillAll => "FILL_ALL",
            Self::FillAllAvailable => "FILL_ALL_AVAILABLE",
        }
    }
}

/// How fast goods travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServiceLevel {
    /// The cheapest service by road.
    Ground,
    /// Delivery in two working days.
    TwoDay,
    /// Delivery on the next working day.
    Overnight,
    /// Handed over on the day of the order.
    SameDay,
}

impl Named for ServiceLevel {
    const ALL: &'static [Self] = &[Self::Ground, Self::TwoDay, Self::Overnight, Self::SameDay];

    fn name(self) -> &'static str {
        match self {
            Self::Ground => "GROUND",
            Self::TwoDay => "TWO_DAY",
            Self::Overnight => "OVERNIGHT",
            Self::SameDay => "SAME_DAY",
        }
    }
}
