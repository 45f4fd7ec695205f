//! What the lane of a SKU knows besides its stock.

use time::OffsetDateTime;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct LaneState {
    /// Version of the item that set its components; 0 when the SKU is no kit.
    pub(crate) kit_version: i64,
    /// Units that wait for stock.
    pub(crate) backordered: i64,
    /// Most units that may be queued; `None` for any number.
    pub(crate) backorder_max: Option<i64>,
    /// From when the item is expected to be in stock.
    pub(crate) available_from: Option<OffsetDateTime>,
}

impl LaneState {
    /// Whether so many more units may be queued.
    pub(crate) fn has_room_for(&self, units: i64) -> bool {
        self.backorder_max
            .is_none_or(|most| self.backordered.saturating_add(units) <= most)
    }

    /// Whether more wait than may be queued.
    pub(crate) fn is_over(&self) -> bool {
        !self.has_room_for(0)
    }

    /// When more is expected, if that is still to come.
    pub(crate) fn next_supply(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        self.available_from.filter(|from| *from > now)
    }
}

/// How the line of those who wait for a SKU changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct QueueChange {
    /// Units that wait, more or less than before.
    pub(crate) backordered: i64,
    /// Units that wait because the stock they were promised was not there.
    pub(crate) displaced: i64,
}
