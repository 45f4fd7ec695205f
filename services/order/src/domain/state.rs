//! The order's state machine: one table, from which everything else about it follows.

/// State of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum OrderState {
    /// Accepted, not confirmed yet.
    Pending,
    /// Stock allocated and payment authorized.
    Confirmed,
    /// Everything shipped or canceled, and settled.
    Completed,
    /// Refused: no stock or no payment.
    Rejected,
    /// Canceled before anything shipped.
    Canceled,
    /// Not confirmed in time.
    Expired,
}

/// What is done to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum OrderAction {
    /// The saga reached its pivot.
    Confirm,
    /// The saga unwound because stock or payment was refused.
    Reject,
    /// The saga unwound because its time ran out.
    Expire,
    /// A cancellation took every unit.
    Cancel,
    /// Everything shipped or canceled, and settled.
    Complete,
    /// Somebody asks to cancel units.
    RequestCancellation,
    /// Somebody places a hold.
    PlaceHold,
    /// Somebody changes instructions or custom fields.
    Update,
    /// Somebody refunds an amount.
    Refund,
}

use OrderAction as A;
use OrderState as S;

/// Every legal step: from, action, to.
pub(crate) const TRANSITIONS: &[(OrderState, OrderAction, OrderState)] = &[
    (S::Pending, A::Confirm, S::Confirmed),
    (S::Pending, A::Reject, S::Rejected),
    (S::Pending, A::Expire, S::Expired),
    (S::Pending, A::Cancel, S::Canceled),
    (S::Pending, A::RequestCancellation, S::Pending),
    (S::Pending, A::PlaceHold, S::Pending),
    (S::Pending, A::Update, S::Pending),
    (S::Confirmed, A::Cancel, S::Canceled),
    (S::Confirmed, A::Complete, S::Completed),
    (S::Confirmed, A::RequestCancellation, S::Confirmed),
    (S::Confirmed, A::PlaceHold, S::Confirmed),
    (S::Confirmed, A::Update, S::Confirmed),
    (S::Confirmed, A::Refund, S::Confirmed),
    (S::Completed, A::Refund, S::Completed),
];

impl OrderState {
    /// All states.
    pub(crate) const ALL: [Self; 6] = [
        S::Pending,
        S::Confirmed,
        S::Completed,
        S::Rejected,
        S::Canceled,
        S::Expired,
    ];

    /// The name that the database, the proto enum and people use.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            S::Pending => "PENDING",
            S::Confirmed => "CONFIRMED",
            S::Completed => "COMPLETED",
            S::Rejected => "REJECTED",
            S::Canceled => "CANCELED",
            S::Expired => "EXPIRED",
        }
    }

    /// Reads the name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// The state after the action, or `None` when the action is illegal now.
    pub(crate) fn after(self, action: OrderAction) -> Option<Self> {
        TRANSITIONS
            .iter()
            .find(|(from, by, _)| *from == self && *by == action)
            .map(|(_, _, to)| *to)
    }

    /// True when nothing leads on from here but refunds.
    pub(crate) fn is_final(self) -> bool {
        !matches!(self, S::Pending | S::Confirmed)
    }
}

impl OrderAction {
    /// Actions that clients may ask for, as `supported_actions` lists them.
    pub(crate) const BY_CLIENTS: [Self; 4] =
        [A::RequestCancellation, A::PlaceHold, A::Update, A::Refund];

    /// The name that clients see.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            A::Confirm => "confirm",
            A::Reject => "reject",
            A::Expire => "expire",
            A::Cancel => "finish_cancellation",
            A::Complete => "complete",
            A::RequestCancellation => "cancel",
            A::PlaceHold => "place_hold",
            A::Update => "update",
            A::Refund => "refund",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for state in OrderState::ALL {
            assert_eq!(OrderState::parse(state.as_str()), Some(state));
        }
        assert_eq!(OrderState::parse("SHIPPED"), None);
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
    fn final_states_allow_refunds_of_completed_orders_only() {
        for (from, action, to) in TRANSITIONS {
            if from.is_final() {
                assert_eq!(
                    (*from, *action, *to),
                    (S::Completed, A::Refund, S::Completed)
                );
            }
        }
    }

    #[test]
    fn the_database_knows_the_same_states() {
        let sql = include_str!("../../migrations/0001_orders.sql");
        let names: Vec<String> = OrderState::ALL
            .iter()
            .map(|state| format!("'{}'", state.as_str()))
            .collect();
        let check = format!("CHECK (state IN ({}))", names.join(", "));
        assert!(sql.contains(&check), "migrations do not hold {check}");
    }
}
