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
    /// Trace that this one goes on with; empty when there is none.
    pub(crate) linked_trace_id: String,
}

/// A trace in which something happened to an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OrderTrace {
    /// Which.
    pub(crate) trace_id: String,
    /// When the order was first changed or worked on in it.
    pub(crate) first_at: OffsetDateTime,
    /// When last.
    pub(crate) last_at: OffsetDateTime,
    /// What happened first: an action, or `saga.` and a step.
    pub(crate) started_by: String,
    /// Who did that.
    pub(crate) actor: String,
    /// A step of the saga failed in it.
    pub(crate) failed: bool,
    /// Trace that it goes on with; empty when there is none.
    pub(crate) linked_trace_id: String,
}
