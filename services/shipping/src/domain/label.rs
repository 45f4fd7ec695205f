//! The state machine of a label: one attempt to buy labels for all packages of a shipment.

/// State of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum LabelState {
    /// Asked of the carrier.
    Requested,
    /// Bought.
    Purchased,
    /// Asked to be voided.
    VoidRequested,
    /// Voided.
    Voided,
    /// Refused by the carrier.
    Failed,
    /// The carrier's answer to the purchase is not known; being reconciled.
    InDoubt,
}

/// What happens to a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum LabelAction {
    /// The carrier sold it.
    Purchase,
    /// The carrier refused to sell it.
    Fail,
    /// The carrier did not answer.
    Doubt,
    /// It turned out that the carrier never saw the purchase.
    Retry,
    /// Somebody wants it voided.
    RequestVoid,
    /// The carrier voided it.
    Void,
    /// The carrier refused to void it.
    RefuseVoid,
}

use LabelAction as A;
use LabelState as S;

/// Every legal step: from, action, to.
pub(crate) const TRANSITIONS: &[(LabelState, LabelAction, LabelState)] = &[
    (S::Requested, A::Purchase, S::Purchased),
    (S::Requested, A::Fail, S::Failed),
    (S::Requested, A::Doubt, S::InDoubt),
    (S::InDoubt, A::Purchase, S::Purchased),
    (S::InDoubt, A::Fail, S::Failed),
    (S::InDoubt, A::Doubt, S::InDoubt),
    (S::InDoubt, A::Retry, S::Requested),
    (S::Purchased, A::RequestVoid, S::VoidRequested),
    (S::VoidRequested, A::Void, S::Voided),
    (S::VoidRequested, A::RefuseVoid, S::Purchased),
];

impl LabelState {
    /// All states.
    pub(crate) const ALL: [Self; 6] = [
        S::Requested,
        S::Purchased,
        S::VoidRequested,
        S::Voided,
        S::Failed,
        S::InDoubt,
    ];

    /// The name that the database, the proto enum and people use.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            S::Requested => "REQUESTED",
            S::Purchased => "PURCHASED",
            S::VoidRequested => "VOID_REQUESTED",
            S::Voided => "VOIDED",
            S::Failed => "FAILED",
            S::InDoubt => "IN_DOUBT",
        }
    }

    /// Reads the name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// The state after the action, or `None` when the action is illegal now.
    pub(crate) fn after(self, action: LabelAction) -> Option<Self> {
        TRANSITIONS
            .iter()
            .find(|(from, by, _)| *from == self && *by == action)
            .map(|(_, _, to)| *to)
    }

    /// True while the packages carry this label.
    pub(crate) fn is_on_packages(self) -> bool {
        matches!(self, S::Purchased | S::VoidRequested)
    }

    /// True while the carrier's answer is awaited.
    pub(crate) fn is_open(self) -> bool {
        matches!(self, S::Requested | S::InDoubt | S::VoidRequested)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for state in LabelState::ALL {
            assert_eq!(LabelState::parse(state.as_str()), Some(state));
        }
        assert_eq!(LabelState::parse(""), None);
    }

    #[test]
    fn each_pair_of_state_and_action_leads_to_one_state() {
        for (n, (from, by, _)) in TRANSITIONS.iter().enumerate() {
            let again = TRANSITIONS.iter().skip(n + 1);
            assert!(
                !again.clone().any(|(f, b, _)| f == from && b == by),
                "{from:?} {by:?}"
            );
        }
    }

    #[test]
    fn a_label_in_doubt_can_only_be_settled() {
        let steps: Vec<_> = TRANSITIONS
            .iter()
            .filter(|(from, ..)| *from == S::InDoubt)
            .collect();
        assert!(steps.iter().all(|(_, by, _)| *by != A::RequestVoid));
        for state in [S::Voided, S::Failed] {
            assert!(
                TRANSITIONS.iter().all(|(from, ..)| *from != state),
                "{state:?} is final"
            );
        }
    }
}
