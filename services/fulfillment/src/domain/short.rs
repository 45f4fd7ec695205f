//! Units that a picker did not find, and what becomes of them.

use oms_core::{FulfillmentOrderId, LocationId, OrderId};
use uuid::Uuid;

use super::machine::Named;

/// Kind of the task that resolves a short; its payload is the id of the short.
pub(crate) const RESOLVE_SHORT: &str = "resolve_short";

/// Why units are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShortReason {
    /// Not there.
    NotFound,
    /// There, but not fit to be shipped.
    Damaged,
    /// Something else.
    Other,
}

impl Named for ShortReason {
    const ALL: &'static [Self] = &[Self::NotFound, Self::Damaged, Self::Other];

    fn name(self) -> &'static str {
        match self {
            Self::NotFound => "NOT_FOUND",
            Self::Damaged => "DAMAGED",
            Self::Other => "OTHER",
        }
    }
}

/// State of a short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShortState {
    /// Not decided yet.
    Pending,
    /// Sourced again, given up, or both in parts.
    Resolved,
}

impl Named for ShortState {
    const ALL: &'static [Self] = &[Self::Pending, Self::Resolved];

    fn name(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Resolved => "RESOLVED",
        }
    }
}

/// Units that a picker did not find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Short {
    /// Id.
    pub(crate) id: Uuid,
    /// Fulfillment order that was short.
    pub(crate) fulfillment_order_id: FulfillmentOrderId,
    /// Its line.
    pub(crate) fulfillment_order_line_id: Uuid,
    /// Order.
    pub(crate) order_id: OrderId,
    /// The item.
    pub(crate) sku: String,
    /// Location that was short.
    pub(crate) location_id: LocationId,
    /// Units.
    pub(crate) quantity: i64,
    /// Why.
    pub(crate) reason: ShortReason,
    /// State.
    pub(crate) state: ShortState,
}

/// Units of a lot that another location got for a short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cover {
    /// Location.
    pub(crate) location_id: LocationId,
    /// Lot; empty when none.
    pub(crate) lot: String,
    /// Units.
    pub(crate) quantity: i64,
}

impl Short {
    /// Splits the missing units into those that other locations cover and the rest. Covers never
    /// count for more than is missing.
    pub(crate) fn split(&self, covers: &[Cover]) -> (i64, i64) {
        let covered = covers
            .iter()
            .map(|cover| cover.quantity)
            .sum::<i64>()
            .min(self.quantity);
        (covered, self.quantity - covered)
    }
}

#[cfg(test)]
mod tests {
    use super::super::machine::sql_list;
    use super::*;

    #[test]
    fn the_database_knows_the_same_names() {
        let sql = include_str!("../../migrations/0003_floor.sql");
        assert!(sql.contains(&format!("CHECK (state IN ({}))", sql_list::<ShortState>())));
        assert!(sql.contains(&format!(
            "CHECK (reason IN ({}))",
            sql_list::<ShortReason>()
        )));
    }
}
