//! Cancellations: an aggregate of their own, since others may refuse.

use oms_core::{CancellationId, OrderLineId};
use time::OffsetDateTime;

/// Detail of a payment leg while the authorization is not given up.
pub(crate) const WAITS_FOR_VOID: &str = "the authorization will be given up";

/// A request to cancel units, with what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cancellation {
    /// Id.
    pub(crate) cancellation_id: CancellationId,
    /// Name of the state: REQUESTED, `IN_PROGRESS`, COMPLETED, `PARTIALLY_COMPLETED` or REFUSED.
    pub(crate) state: String,
    /// Units asked to be canceled; empty for the whole order.
    pub(crate) lines: Vec<CancellationLine>,
    /// Reason code.
    pub(crate) reason: String,
    /// Note for people.
    pub(crate) note: String,
    /// Who asked.
    pub(crate) actor: String,
    /// What has to be undone.
    pub(crate) legs: Vec<CancellationLeg>,
    /// When it was asked for.
    pub(crate) created_at: OffsetDateTime,
}

/// Units of one line to cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CancellationLine {
    /// Line.
    pub(crate) order_line_id: OrderLineId,
    /// Units asked for.
    pub(crate) quantity: i64,
    /// Units canceled in the end.
    pub(crate) canceled: i64,
}

/// One thing that a cancellation has to undo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CancellationLeg {
    /// `fulfillment`, `reservation` or `payment`.
    pub(crate) name: String,
    /// PENDING, DONE, REFUSED or `IN_DOUBT`.
    pub(crate) state: String,
    /// Details for people.
    pub(crate) detail: String,
}

impl Cancellation {
    /// True while it is not decided what becomes of it.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state.as_str(), "REQUESTED" | "IN_PROGRESS")
    }

    /// Sets a leg, if the cancellation has it.
    pub(crate) fn set_leg(&mut self, name: &str, state: &str, detail: &str) {
        if let Some(leg) = self.legs.iter_mut().find(|leg| leg.name == name) {
            state.clone_into(&mut leg.state);
            detail.clone_into(&mut leg.detail);
        }
    }
}
