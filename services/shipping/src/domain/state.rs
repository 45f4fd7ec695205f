//! The shipment's state machine: one table, from which everything else about it follows.

use super::label::LabelState;

/// State of a shipment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ShipmentState {
    /// Has packages, no label yet.
    Draft,
    /// Has a label for every package.
    Labeled,
    /// Handed to the carrier.
    Shipped,
    /// Every package was delivered.
    Delivered,
    /// Every package ended and at least one was not delivered.
    DeliveryFailed,
    /// Canceled before it was handed over.
    Canceled,
}

/// What is done to a shipment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ShipmentAction {
    /// Somebody asks for labels.
    BuyLabel,
    /// Somebody asks to void the labels.
    VoidLabel,
    /// Somebody hands the goods over.
    ConfirmShip,
    /// Somebody cancels it.
    Cancel,
    /// The carrier sold the labels.
    LabelPurchased,
    /// The carrier voided the labels.
    LabelVoided,
    /// The carrier scanned a package before anybody confirmed the handover.
    FirstScan,
    /// The last package was delivered.
    AllDelivered,
    /// The last package ended and not all were delivered.
    SomeFailed,
    /// A package that had ended is under way again.
    UnderWayAgain,
}

use ShipmentAction as A;
use ShipmentState as S;

/// Every legal step: from, action, to.
pub(crate) const TRANSITIONS: &[(ShipmentState, ShipmentAction, ShipmentState)] = &[
    (S::Draft, A::BuyLabel, S::Draft),
    (S::Draft, A::LabelPurchased, S::Labeled),
    (S::Draft, A::Cancel, S::Canceled),
    (S::Labeled, A::VoidLabel, S::Labeled),
    (S::Labeled, A::LabelVoided, S::Draft),
    (S::Labeled, A::ConfirmShip, S::Shipped),
    (S::Labeled, A::FirstScan, S::Shipped),
    (S::Labeled, A::Cancel, S::Canceled),
    (S::Shipped, A::AllDelivered, S::Delivered),
    (S::Shipped, A::SomeFailed, S::DeliveryFailed),
    (S::Delivered, A::SomeFailed, S::DeliveryFailed),
    (S::Delivered, A::UnderWayAgain, S::Shipped),
    (S::DeliveryFailed, A::AllDelivered, S::Delivered),
    (S::DeliveryFailed, A::UnderWayAgain, S::Shipped),
];

impl ShipmentState {
    /// All states.
    pub(crate) const ALL: [Self; 6] = [
        S::Draft,
        S::Labeled,
        S::Shipped,
        S::Delivered,
        S::DeliveryFailed,
        S::Canceled,
    ];

    /// The name that the database, the proto enum and people use.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            S::Draft => "DRAFT",
            S::Labeled => "LABELED",
            S::Shipped => "SHIPPED",
            S::Delivered => "DELIVERED",
            S::DeliveryFailed => "DELIVERY_FAILED",
            S::Canceled => "CANCELED",
        }
    }

    /// Reads the name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// The state after the action, or `None` when the action is illegal now.
    pub(crate) fn after(self, action: ShipmentAction) -> Option<Self> {
        TRANSITIONS
            .iter()
            .find(|(from, by, _)| *from == self && *by == action)
            .map(|(_, _, to)| *to)
    }

    /// True once the carrier has the goods.
    pub(crate) fn is_handed_over(self) -> bool {
        matches!(self, S::Shipped | S::Delivered | S::DeliveryFailed)
    }
}

impl ShipmentAction {
    /// Actions that clients may ask for, as `supported_actions` lists them.
    pub(crate) const BY_CLIENTS: [Self; 4] = [A::BuyLabel, A::VoidLabel, A::ConfirmShip, A::Cancel];

    /// The name that clients see.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            A::BuyLabel => "buy_label",
            A::VoidLabel => "void_label",
            A::ConfirmShip => "confirm_ship",
            A::Cancel => "cancel",
            A::LabelPurchased => "label_purchased",
            A::LabelVoided => "label_voided",
            A::FirstScan => "first_scan",
            A::AllDelivered => "all_delivered",
            A::SomeFailed => "some_failed",
            A::UnderWayAgain => "under_way_again",
        }
    }
}

/// Why an action is illegal now; `None` when it is legal. Two axes decide: the shipment's state, and
/// the label's, since nothing may happen to a shipment whose carrier's answer is awaited.
pub(crate) fn refusal(
    state: ShipmentState,
    label: Option<LabelState>,
    action: ShipmentAction,
) -> Option<String> {
    if state.after(action).is_none() {
        return Some(format!("the shipment is {}", state.as_str()));
    }
    let by_client = ShipmentAction::BY_CLIENTS.contains(&action);
    let label = label.filter(|label| by_client && label.is_open())?;
    Some(format!("the label is {}", label.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for state in ShipmentState::ALL {
            assert_eq!(ShipmentState::parse(state.as_str()), Some(state));
        }
        assert_eq!(ShipmentState::parse("MANIFESTED"), None);
    }

    #[test]
    fn each_pair_of_state_and_action_leads_to_one_state() {
        for (n, (from, by, _)) in TRANSITIONS.iter().enumerate() {
            let mut again = TRANSITIONS.iter().skip(n + 1);
            assert!(
                !again.any(|(f, b, _)| f == from && b == by),
                "{from:?} {by:?}"
            );
        }
    }

    #[test]
    fn goods_that_left_stay_left() {
        for (from, by, to) in TRANSITIONS {
            assert!(
                !from.is_handed_over() || to.is_handed_over(),
                "{from:?} {by:?} {to:?}"
            );
        }
        assert!(TRANSITIONS.iter().all(|(from, ..)| *from != S::Canceled));
    }

    #[test]
    fn an_open_label_blocks_every_client() {
        for state in ShipmentState::ALL {
            for label in LabelState::ALL.into_iter().filter(|label| label.is_open()) {
                for action in ShipmentAction::BY_CLIENTS {
                    assert!(
                        refusal(state, Some(label), action).is_some(),
                        "{state:?} {label:?}"
                    );
                }
            }
        }
        assert_eq!(
            refusal(S::Labeled, Some(LabelState::Purchased), A::ConfirmShip),
            None
        );
        assert_eq!(
            refusal(S::Draft, Some(LabelState::Failed), A::BuyLabel),
            None
        );
        assert_eq!(
            refusal(S::Draft, Some(LabelState::Requested), A::LabelPurchased),
            None
        );
    }

    #[test]
    fn the_picture_in_the_readme_is_the_table() {
        let readme = include_str!("../../README.md");
        let drawn: Vec<&str> = readme
            .lines()
            .filter(|line| line.contains(" --> "))
            .map(str::trim)
            .collect();
        let moves = TRANSITIONS.iter().filter(|(from, _, to)| from != to);
        let expected: Vec<String> = moves
            .map(|(from, by, to)| format!("{} --> {}: {}", from.as_str(), to.as_str(), by.as_str()))
            .collect();
        let mut drawn: Vec<String> = drawn.into_iter().map(str::to_owned).collect();
        let mut expected = expected;
        drawn.sort();
        expected.sort();
        assert_eq!(drawn, expected);
    }

    #[test]
    fn the_database_knows_the_same_states() {
        let shipments = include_str!("../../migrations/0001_shipments.sql");
        let labels = include_str!("../../migrations/0002_labels.sql");
        let list = |names: Vec<&str>| format!("CHECK (state IN ('{}'))", names.join("', '"));
        let states = ShipmentState::ALL
            .iter()
            .map(|state| state.as_str())
            .collect();
        assert!(shipments.contains(&list(states)));
        let states = LabelState::ALL.iter().map(|state| state.as_str()).collect();
        assert!(labels.contains(&list(states)));
        let states = crate::domain::effect::EffectState::ALL;
        assert!(labels.contains(&list(states.iter().map(|state| state.as_str()).collect())));
    }
}
