//! What happened to an order, for people.

use time::OffsetDateTime;

/// One row of the timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TimelineRow {
    /// Number within the order.
    pub(crate) sequence: i64,
    /// When.
    pub(crate) occurred_at: OffsetDateTime,
    /// Who.
    pub(crate) actor: String,
    /// What was done.
    pub(crate) action: String,
    /// Order state before; empty when it did not change.
    pub(crate) from_state: String,
    /// Order state after; empty when it did not change.
    pub(crate) to_state: String,
    /// Details for people; no personal data.
    pub(crate) detail: String,
    /// Trace in which it happened.
    pub(crate) trace_id: String,
}
