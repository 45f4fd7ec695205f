//! The place-order saga as a pure function: where it stands and what came of a step decide what is next.
//!
//! Steps run in one order and are undone in the opposite one. Reserve comes before authorize, so that
//! nobody is charged for nothing; CONFIRMED is the pivot, from which it only goes forward.

use oms_core::{OrderId, ReservationId};
use time::OffsetDateTime;

use super::reservation::saga_reservation_id;
use super::sourcing::Proposal;

/// A step of the saga, in the order in which they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Step {
    /// Places the holds that rules ask for.
    Screen,
    /// Asks fulfillment where the order may come from.
    Source,
    /// Holds the units in inventory.
    Reserve,
    /// Waits while a hold blocks the confirmation.
    AwaitHolds,
    /// Authorizes the payment.
    Authorize,
    /// Allocates the held units.
    Allocate,
    /// Confirms the order; the pivot. What could not be reserved is backordered or canceled here.
    Confirm,
    /// Has fulfillment create its work.
    Release,
}

/// How a step that has failed is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    /// Not at all: it asks nobody, so the same would fail again.
    Never,
    /// The calls that it makes while it waits are made again, with backoff.
    Waits,
    /// Its call is made again under the same id, with backoff.
    Again,
    /// What was sent is looked up, with backoff, and sent again under the same key only when it was never seen.
    LookUp,
    /// As [`Self::Again`]; that it is late is told by the order's deadline, as no expiry ends it.
    AgainByDeadline,
}

impl Retry {
    /// True when a person has to look: after so many failures in a row, or at once when trying again is in vain.
    pub(crate) fn gives_up(self, failures: i32, failures_max: i32) -> bool {
        match self {
            Self::Never => true,
            Self::Waits | Self::Again | Self::LookUp | Self::AgainByDeadline => {
                failures >= failures_max
            }
        }
    }
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StepResult {
    /// Done.
    Done,
    /// Nothing to do yet; look again later.
    NotYet,
    /// Refused for good, with the reason that becomes the order's. A refused step leaves nothing to undo.
    Refused(String),
    /// The same of a step that has done a part before: it is undone too.
    RefusedInPart(String),
    /// The reservation ran out; reserve again under a new id.
    ReservationLost,
    /// A hold was placed meanwhile; go back and wait for it.
    HeldUp,
}

/// How an unwound order ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UndoTo {
    /// Stock or payment was refused.
    Rejected,
    /// Somebody canceled it.
    Canceled,
    /// Its time ran out.
    Expired,
}

impl UndoTo {
    /// The state that the order ends in.
    pub(crate) fn order_state(self) -> super::state::OrderState {
        match self {
            Self::Rejected => super::state::OrderState::Rejected,
            Self::Canceled => super::state::OrderState::Canceled,
            Self::Expired => super::state::OrderState::Expired,
        }
    }

    /// The name that the database uses.
    pub(crate) fn as_str(self) -> &'static str {
        self.order_state().as_str()
    }

    /// Reads the name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::Rejected, Self::Canceled, Self::Expired]
            .into_iter()
            .find(|to| to.as_str() == name)
    }
}

/// State of a saga.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SagaState {
    /// Runs forward as soon as its time comes.
    Running,
    /// Waits for something outside, such as a hold, and looks again at its time.
    Waiting,
    /// Undoes what was done.
    Undoing,
    /// Nothing is left to do.
    Done,
    /// Cannot go on by itself: in the exception queue.
    Stuck,
}

impl SagaState {
    /// All states.
    pub(crate) const ALL: [Self; 5] = [
        Self::Running,
        Self::Waiting,
        Self::Undoing,
        Self::Done,
        Self::Stuck,
    ];

    /// The name that the database uses.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Waiting => "WAITING",
            Self::Undoing => "UNDOING",
            Self::Done => "DONE",
            Self::Stuck => "STUCK",
        }
    }

    /// Reads the name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// A saga as its row says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Saga {
    /// Order.
    pub(crate) order_id: OrderId,
    /// Step that runs, waits or is undone.
    pub(crate) step: Step,
    /// State.
    pub(crate) state: SagaState,
    /// How the order ends when everything is undone; `None` while it goes forward.
    pub(crate) undo_to: Option<UndoTo>,
    /// Why it unwinds.
    pub(crate) undo_reason: String,
    /// Number of the claim; a result commits only while it is the same.
    pub(crate) attempt: i32,
    /// Failures of the present step in a row.
    pub(crate) failures: i32,
    /// When it is due: its time, the end of a backoff or the end of the lease.
    pub(crate) next_run_at: OffsetDateTime,
    /// Somebody asked for a cancellation of the whole order.
    pub(crate) cancel_requested: bool,
    /// Count of what happened outside.
    pub(crate) signals: i64,
    /// Which reservation is the present one.
    pub(crate) reservation_attempt: i32,
    /// When inventory lets it run out; `None` while nothing is held.
    pub(crate) reservation_expires_at: Option<OffsetDateTime>,
    /// When it was made.
    pub(crate) reserved_at: Option<OffsetDateTime>,
    /// Where the order may come from.
    pub(crate) proposal: Option<Proposal>,
    /// What went wrong last.
    pub(crate) last_error: String,
    /// Since when it is stuck.
    pub(crate) stuck_since: Option<OffsetDateTime>,
    /// A PENDING order expires at this time.
    pub(crate) expires_at: OffsetDateTime,
    /// Trace that it belongs to.
    pub(crate) traceparent: String,
    /// When it began.
    pub(crate) started_at: OffsetDateTime,
}

impl Saga {
    /// Id of the present reservation.
    pub(crate) fn reservation_id(&self) -> ReservationId {
        saga_reservation_id(self.order_id, self.reservation_attempt)
    }
}

/// What the saga does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next {
    /// Run this step.
    Run(Step),
    /// Wait, then run this step again.
    Wait(Step),
    /// Undo what was done, beginning with this step, and end the order. `None` when nothing was done.
    Undo(Option<Step>, UndoTo, String),
    /// Run reserve again under the next reservation attempt.
    ReserveAgain,
    /// Nothing is left to do.
    Finished,
}

impl Step {
    /// All steps in the order in which they run.
    pub(crate) const ALL: [Self; 8] = [
        Self::Screen,
        Self::Source,
        Self::Reserve,
        Self::AwaitHolds,
        Self::Authorize,
        Self::Allocate,
        Self::Confirm,
        Self::Release,
    ];

    /// The name that the database and people use.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Screen => "screen",
            Self::Source => "source",
            Self::Reserve => "reserve",
            Self::AwaitHolds => "await_holds",
            Self::Authorize => "authorize",
            Self::Allocate => "allocate",
            Self::Confirm => "confirm",
            Self::Release => "release",
        }
    }

    /// Reads the name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.as_str() == name)
    }

    /// The step that runs after this one.
    pub(crate) fn following(self) -> Option<Self> {
        Self::ALL.into_iter().find(|step| *step > self)
    }

    /// The step that is undone after this one.
    pub(crate) fn preceding(self) -> Option<Self> {
        Self::ALL.into_iter().rev().find(|step| *step < self)
    }

    /// How it is tried again when it has failed; so is its undoing.
    pub(crate) fn retry(self) -> Retry {
        match self {
            Self::Screen | Self::Source | Self::Reserve | Self::Allocate => Retry::Again,
            Self::AwaitHolds => Retry::Waits,
            Self::Authorize => Retry::LookUp,
            Self::Confirm => Retry::Never,
            Self::Release => Retry::AgainByDeadline,
        }
    }

    /// True when undoing this step takes a call or a write; the others are passed over.
    pub(crate) fn has_undo(self) -> bool {
        matches!(self, Self::Authorize | Self::Reserve)
    }

    /// True when nothing has to be known of what it did: it may be done by hand.
    pub(crate) fn takes_nothing(self) -> bool {
        matches!(self, Self::Screen | Self::Release)
    }

    /// True when the order is confirmed once this step is done: nothing before it can be undone any more.
    pub(crate) fn is_at_or_past_pivot(self) -> bool {
        self >= Self::Confirm
    }
}

/// What is next after a step.
///
/// A cancellation that was asked for before the pivot, and an expiry, win over everything but a result
/// that already refuses; after the pivot the saga only goes forward.
fn next(step: Step, result: &StepResult, cancel_requested: bool, expired: bool) -> Next {
    if let StepResult::Refused(reason) = result
        && !step.is_at_or_past_pivot()
    {
        return Next::Undo(step.preceding(), UndoTo::Rejected, reason.clone());
    }
    if let StepResult::RefusedInPart(reason) = result
        && !step.is_at_or_past_pivot()
    {
        return Next::Undo(Some(step), UndoTo::Rejected, reason.clone());
    }
    if cancel_requested && !step.is_at_or_past_pivot() {
        return Next::Undo(Some(step), UndoTo::Canceled, "CUSTOMER".to_owned());
    }
    if expired && !step.is_at_or_past_pivot() && *result != StepResult::Done {
        return Next::Undo(
            Some(step),
            UndoTo::Expired,
            "NOT_CONFIRMED_IN_TIME".to_owned(),
        );
    }
    match result {
        StepResult::Done => step.following().map_or(Next::Finished, Next::Run),
        StepResult::ReservationLost if !step.is_at_or_past_pivot() => Next::ReserveAgain,
        StepResult::HeldUp if !step.is_at_or_past_pivot() => Next::Run(Step::AwaitHolds),
        StepResult::NotYet
        | StepResult::HeldUp
        | StepResult::ReservationLost
        | StepResult::Refused(_)
        | StepResult::RefusedInPart(_) => Next::Wait(step),
    }
}

/// Reservations that a saga makes before a person has to look.
const RESERVATIONS_MOST: i32 = 50;

/// Step, outcome and details, as the step ledger keeps them.
pub(crate) type Entry = (Step, &'static str, String);

impl Saga {
    /// What is next after the present step, as [`next`] has it. A saga that went back to an earlier step may have
    /// authorized before, or have asked to without hearing the answer: its undoing begins there. Undoing what was never
    /// done does nothing.
    pub(crate) fn next(&self, result: &StepResult, expired: bool) -> Next {
        let may_have_gone_back = self.reservation_attempt > 1 || self.step == Step::AwaitHolds;
        match next(self.step, result, self.cancel_requested, expired) {
            Next::Undo(from, to, reason) if may_have_gone_back => {
                Next::Undo(from.max(Some(Step::Authorize)), to, reason)
            }
            what_next => what_next,
        }
    }

    /// Moves to what is next. `signalled` says that something happened outside since the step looked.
    pub(crate) fn follow(
        &mut self,
        what_next: Next,
        wait_until: Option<OffsetDateTime>,
        signalled: bool,
        now: OffsetDateTime,
        ledger: &mut Vec<Entry>,
    ) {
        self.next_run_at = now;
        self.state = SagaState::Running;
        match what_next {
            Next::Run(step) => {
                self.step = step;
                self.failures = 0;
                ledger.push((step, "STARTED", String::new()));
            }
            // What happened meanwhile may be what it waits for.
            Next::Wait(step) if signalled => self.step = step,
            Next::Wait(step) => {
                self.step = step;
                self.failures = 0;
                if let Some(until) = wait_until {
                    self.state = SagaState::Waiting;
                    self.next_run_at = until;
                }
            }
            Next::ReserveAgain => self.reserve_again(ledger),
            Next::Undo(from, to, reason) => {
                self.undo_to = Some(to);
                self.undo_reason = reason;
                self.failures = 0;
                self.state = SagaState::Undoing;
                self.step = from.unwrap_or(self.step);
                if let Some(step) = undo_from(from) {
                    self.step = step;
                    ledger.push((step, "UNDO_STARTED", String::new()));
                }
            }
            Next::Finished if signalled => {}
            Next::Finished => self.state = SagaState::Done,
        }
        self.stamp_stuck(now);
    }

    fn reserve_again(&mut self, ledger: &mut Vec<Entry>) {
        self.step = Step::Reserve;
        self.reservation_attempt += 1;
        self.reservation_expires_at = None;
        self.reserved_at = None;
        if self.reservation_attempt > RESERVATIONS_MOST {
            self.state = SagaState::Stuck;
            "reservations are lost again and again".clone_into(&mut self.last_error);
        }
        ledger.push((Step::Reserve, "STARTED", String::new()));
    }

    /// Sets since when it is stuck, if it is.
    pub(crate) fn stamp_stuck(&mut self, now: OffsetDateTime) {
        self.stuck_since = (self.state == SagaState::Stuck).then_some(now);
    }

    /// True while there is something to do for it now: its lease is kept.
    pub(crate) fn is_busy(&self, now: OffsetDateTime) -> bool {
        matches!(self.state, SagaState::Running | SagaState::Undoing) && self.next_run_at <= now
    }
}

/// The first step from here downwards that has something to undo; `None` when nothing is left.
pub(crate) fn undo_from(step: Option<Step>) -> Option<Step> {
    let mut at = step;
    while let Some(step) = at {
        if step.has_undo() {
            return Some(step);
        }
        at = step.preceding();
    }
    None
}

#[cfg(test)]
#[path = "saga_tests.rs"]
mod tests;
