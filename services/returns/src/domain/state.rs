//! The return's state machine: one table, from which everything else about it follows.

/// State of a return.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ReturnState {
    /// Asked for.
    Requested,
    /// Allowed.
    Authorized,
    /// Refused.
    Declined,
    /// The carrier has it.
    InTransit,
    /// Some of it arrived.
    PartiallyReceived,
    /// All of it arrived.
    Received,
    /// All of it arrived and was looked at.
    Inspected,
    /// Goods disposed, money settled.
    Closed,
    /// Canceled before anything arrived.
    Canceled,
}

/// What is done to a return.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ReturnAction {
    /// Allow it.
    Authorize,
    /// Refuse it.
    Decline,
    /// Buy a label for it.
    IssueLabel,
    /// The carrier scanned it.
    Transit,
    /// Some units arrived, others are still to come.
    ReceiveSome,
    /// The last units arrived.
    ReceiveAll,
    /// Units were looked at, others are still to be.
    InspectSome,
    /// The last units were looked at.
    InspectAll,
    /// Units were disposed of.
    Dispose,
    /// Everything is disposed of and settled.
    Close,
    /// Give it up.
    Cancel,
}

use ReturnAction as A;
use ReturnState as S;

/// Every legal step: from, action, to.
pub(crate) const TRANSITIONS: &[(ReturnState, ReturnAction, ReturnState)] = &[
    (S::Requested, A::Authorize, S::Authorized),
    (S::Requested, A::Decline, S::Declined),
    (S::Requested, A::Cancel, S::Canceled),
    (S::Authorized, A::IssueLabel, S::Authorized),
    (S::Authorized, A::Transit, S::InTransit),
    (S::Authorized, A::ReceiveSome, S::PartiallyReceived),
    (S::Authorized, A::ReceiveAll, S::Received),
    (S::Authorized, A::Cancel, S::Canceled),
    (S::InTransit, A::ReceiveSome, S::PartiallyReceived),
    (S::InTransit, A::ReceiveAll, S::Received),
    (S::InTransit, A::Cancel, S::Canceled),
    (S::PartiallyReceived, A::ReceiveSome, S::PartiallyReceived),
    (S::PartiallyReceived, A::ReceiveAll, S::Received),
    (S::PartiallyReceived, A::InspectSome, S::PartiallyReceived),
    (S::PartiallyReceived, A::Dispose, S::PartiallyReceived),
    (S::Received, A::InspectSome, S::Received),
    (S::Received, A::InspectAll, S::Inspected),
    (S::Received, A::Dispose, S::Received),
    (S::Inspected, A::Dispose, S::Inspected),
    (S::Inspected, A::Close, S::Closed),
];

impl ReturnState {
    /// All states.
    pub(crate) const ALL: [Self; 9] = [
        S::Requested,
        S::Authorized,
        S::Declined,
        S::InTransit,
        S::PartiallyReceived,
        S::Received,
        S::Inspected,
        S::Closed,
        S::Canceled,
    ];

    /// The name that the database, the proto enum and people use.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            S::Requested => "REQUESTED",
            S::Authorized => "AUTHORIZED",
            S::Declined => "DECLINED",
            S::InTransit => "IN_TRANSIT",
            S::PartiallyReceived => "PARTIALLY_RECEIVED",
            S::Received => "RECEIVED",
            S::Inspected => "INSPECTED",
            S::Closed => "CLOSED",
            S::Canceled => "CANCELED",
        }
    }

    /// Reads the name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// The state after the action, or `None` when the action is illegal now.
    pub(crate) fn after(self, action: ReturnAction) -> Option<Self> {
        TRANSITIONS
            .iter()
            .find(|(from, by, _)| *from == self && *by == action)
            .map(|(_, _, to)| *to)
    }
}

/// What clients may ask for, and the steps of the table that it may turn into.
pub(crate) const CLIENT_ACTIONS: &[(&str, &[ReturnAction])] = &[
    ("authorize", &[A::Authorize]),
    ("decline", &[A::Decline]),
    ("issue_label", &[A::IssueLabel]),
    ("receive", &[A::ReceiveSome, A::ReceiveAll]),
    ("inspect", &[A::InspectSome, A::InspectAll]),
    ("dispose", &[A::Dispose]),
    ("cancel", &[A::Cancel]),
];

/// Names of the client actions that are legal in a state.
pub(crate) fn supported_actions(state: ReturnState) -> Vec<&'static str> {
    CLIENT_ACTIONS
        .iter()
        .filter(|(_, steps)| steps.iter().any(|step| state.after(*step).is_some()))
        .map(|(name, _)| *name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for state in ReturnState::ALL {
            assert_eq!(ReturnState::parse(state.as_str()), Some(state));
        }
    }

    #[test]
    fn each_pair_of_state_and_action_leads_to_one_state() {
        for (index, (from, action, _)) in TRANSITIONS.iter().enumerate() {
            let again = TRANSITIONS
                .iter()
                .skip(index + 1)
                .any(|(f, a, _)| f == from && a == action);
            assert!(!again, "{from:?} {action:?} stands twice");
        }
    }

    #[test]
    fn what_ended_supports_nothing() {
        for state in [S::Declined, S::Closed, S::Canceled] {
            assert!(supported_actions(state).is_empty(), "{state:?}");
        }
        assert_eq!(
            supported_actions(S::Requested),
            ["authorize", "decline", "cancel"]
        );
    }

    #[test]
    fn the_database_knows_the_same_states() {
        let sql = include_str!("../../migrations/0001_returns.sql");
        for state in ReturnState::ALL {
            assert!(sql.contains(&format!("'{}'", state.as_str())), "{state:?}");
        }
    }
}
