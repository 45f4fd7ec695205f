//! The place-order saga as a pure function: where it stands and what came of a step decide what is next.
//!
//! Steps run in one order and are undone in the opposite one. Reserve comes before authorize, so that
//! nobody is charged for nothing; CONFIRMED is the pivot, from which it only goes forward.

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

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StepResult {
    /// Done.
    Done,
    /// Nothing to do yet; look again later.
    NotYet,
    /// Refused for good, with the reason that becomes the order's.
    Refused(String),
    /// The reservation ran out; reserve again under a new id.
    ReservationLost,
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

/// What the saga does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next {
    /// Run this step.
    Run(Step),
    /// Wait, then run this step again.
    Wait(Step),
    /// Undo what was done, beginning with this step, and end the order.
    Undo(Step, UndoTo, String),
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

    /// True when the order is confirmed once this step is done: nothing before it can be undone any more.
    pub(crate) fn is_at_or_past_pivot(self) -> bool {
        self >= Self::Confirm
    }
}

/// What is next after a step.
///
/// A cancellation that was asked for before the pivot, and an expiry, win over everything but a result
/// that already refuses; after the pivot the saga only goes forward.
pub(crate) fn next(step: Step, result: &StepResult, cancel_requested: bool, expired: bool) -> Next {
    if let StepResult::Refused(reason) = result
        && !step.is_at_or_past_pivot()
    {
        return Next::Undo(step, UndoTo::Rejected, reason.clone());
    }
    if cancel_requested && !step.is_at_or_past_pivot() {
        return Next::Undo(step, UndoTo::Canceled, "CUSTOMER".to_owned());
    }
    if expired && !step.is_at_or_past_pivot() && *result != StepResult::Done {
        return Next::Undo(step, UndoTo::Expired, "NOT_CONFIRMED_IN_TIME".to_owned());
    }
    match result {
        StepResult::Done => step.following().map_or(Next::Finished, Next::Run),
        StepResult::ReservationLost if !step.is_at_or_past_pivot() => Next::ReserveAgain,
        StepResult::NotYet | StepResult::ReservationLost | StepResult::Refused(_) => {
            Next::Wait(step)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_but_the_last_is_followed_by_the_next() {
        for pair in Step::ALL.windows(2) {
            assert_eq!(pair[0].following(), Some(pair[1]));
            assert_eq!(pair[1].preceding(), Some(pair[0]));
            assert_eq!(
                next(pair[0], &StepResult::Done, false, false),
                Next::Run(pair[1])
            );
        }
        assert_eq!(
            next(Step::Release, &StepResult::Done, false, false),
            Next::Finished
        );
    }

    #[test]
    fn before_the_pivot_everything_can_be_undone_and_after_it_nothing() {
        let refused = StepResult::Refused("OUT_OF_STOCK".into());
        for step in Step::ALL {
            for result in [StepResult::Done, StepResult::NotYet, refused.clone()] {
                let next = next(step, &result, true, true);
                let undone = matches!(next, Next::Undo(..));
                assert_eq!(
                    undone,
                    !step.is_at_or_past_pivot(),
                    "{step:?} {result:?} {next:?}"
                );
            }
        }
    }

    #[test]
    fn a_refusal_is_told_rather_than_the_cancellation_that_came_meanwhile() {
        let refused = StepResult::Refused("PAYMENT_DECLINED".into());
        assert_eq!(
            next(Step::Authorize, &refused, true, false),
            Next::Undo(Step::Authorize, UndoTo::Rejected, "PAYMENT_DECLINED".into())
        );
    }

    #[test]
    fn a_lost_reservation_is_made_again() {
        assert_eq!(
            next(Step::Allocate, &StepResult::ReservationLost, false, false),
            Next::ReserveAgain
        );
    }

    #[test]
    fn an_order_expires_only_while_it_waits() {
        assert!(matches!(
            next(Step::AwaitHolds, &StepResult::NotYet, false, true),
            Next::Undo(_, UndoTo::Expired, _)
        ));
        assert_eq!(
            next(Step::Allocate, &StepResult::Done, false, true),
            Next::Run(Step::Confirm)
        );
    }

    #[test]
    fn names_round_trip() {
        for step in Step::ALL {
            assert_eq!(Step::parse(step.as_str()), Some(step));
        }
    }
}
