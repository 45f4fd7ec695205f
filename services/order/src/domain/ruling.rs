//! What a person may decide of a saga that is stuck.

use super::saga::{Saga, SagaState, UndoTo};

/// What a person decides of a step that cannot go on by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ruling {
    /// An undo counts as done.
    Skip,
    /// The order is rejected; what was taken is given back.
    RejectOrder,
    /// The step counts as done.
    StepDone,
}

impl Ruling {
    /// All rulings.
    pub(crate) const ALL: [Self; 3] = [Self::Skip, Self::RejectOrder, Self::StepDone];

    /// The name that people and the contract use.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::RejectOrder => "reject_order",
            Self::StepDone => "step_done",
        }
    }
}

impl Saga {
    /// What can be done about it while it is stuck, in the words of the contract.
    pub(crate) fn supported_actions(&self) -> Vec<&'static str> {
        let rulings = Ruling::ALL.into_iter();
        let rulings = rulings.filter(|ruling| self.ruled(*ruling).is_some());
        std::iter::once("retry")
            .chain(rulings.map(Ruling::as_str))
            .collect()
    }

    /// The saga after a person has decided; `None` when that cannot be decided of its step.
    pub(crate) fn ruled(&self, ruling: Ruling) -> Option<Self> {
        let mut saga = self.clone();
        saga.failures = 0;
        saga.stuck_since = None;
        match (ruling, self.undo_to) {
            (Ruling::Skip, Some(_)) => {
                saga.state = SagaState::Undoing;
                saga.step = self.step.preceding()?;
            }
            (Ruling::RejectOrder, None) if !self.step.is_at_or_past_pivot() => {
                saga.state = SagaState::Undoing;
                // The step itself is undone too: nobody knows how far it came.
                saga.undo_to = Some(UndoTo::Rejected);
                "OPERATOR".clone_into(&mut saga.undo_reason);
            }
            (Ruling::StepDone, None) if self.step.takes_nothing() => {
                let following = self.step.following();
                saga.state = following.map_or(SagaState::Done, |_| SagaState::Running);
                saga.step = following.unwrap_or(self.step);
            }
            _ => return None,
        }
        Some(saga)
    }
}
