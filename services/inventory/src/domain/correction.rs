//! A correction of the books of a level: its state machine, and who may decide about it.

use oms_core::CorrectionId;
use time::OffsetDateTime;

use super::books::{Drift, Gaps, Resolution, Sums};
use super::level::LevelKey;

/// State of a correction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum CorrectionState {
    /// Waits for somebody to decide.
    Proposed,
    /// Approved and applied.
    Approved,
    /// Turned down.
    Rejected,
    /// The books changed before anybody decided.
    Stale,
}

/// What is done to a correction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum CorrectionAction {
    /// Somebody approves it; the lane applies it in the same step.
    Approve,
    /// Somebody turns it down.
    Reject,
    /// The books disagree in another way than when it was proposed, or agree.
    Outdate,
}

use CorrectionAction as A;
use CorrectionState as S;

/// Every legal step: from, action, to.
pub(crate) const TRANSITIONS: &[(CorrectionState, CorrectionAction, CorrectionState)] = &[
    (S::Proposed, A::Approve, S::Approved),
    (S::Proposed, A::Reject, S::Rejected),
    (S::Proposed, A::Outdate, S::Stale),
];

impl CorrectionState {
    /// All states.
    pub(crate) const ALL: [Self; 4] = [S::Proposed, S::Approved, S::Rejected, S::Stale];

    /// The name that the database, the proto enum and people use.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            S::Proposed => "PROPOSED",
            S::Approved => "APPROVED",
            S::Rejected => "REJECTED",
            S::Stale => "STALE",
        }
    }

    /// Reads the name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// The state after the action; `None` when it is illegal now.
    pub(crate) fn after(self, action: CorrectionAction) -> Option<Self> {
        TRANSITIONS
            .iter()
            .find(|(from, by, _)| *from == self && *by == action)
            .map(|(_, _, to)| *to)
    }
}

impl CorrectionAction {
    /// Actions that callers may ask for, as `supported_actions` lists them.
    pub(crate) const BY_CALLERS: [Self; 2] = [A::Approve, A::Reject];

    /// The name that callers see.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            A::Approve => "approve",
            A::Reject => "reject",
            A::Outdate => "outdate",
        }
    }
}

/// Names of the actions that callers may ask for in a state.
pub(crate) fn supported_actions(state: CorrectionState) -> Vec<&'static str> {
    CorrectionAction::BY_CALLERS
        .into_iter()
        .filter(|action| state.after(*action).is_some())
        .map(CorrectionAction::as_str)
        .collect()
}

/// How it was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decided {
    /// Who decided.
    pub(crate) by: String,
    /// When.
    pub(crate) at: OffsetDateTime,
    /// Why, in words.
    pub(crate) note: String,
}

/// What would bring the books of a level together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Correction {
    /// Id.
    pub(crate) id: CorrectionId,
    /// Level.
    pub(crate) key: LevelKey,
    /// State.
    pub(crate) state: CorrectionState,
    /// Which book is right: as proposed, then as chosen.
    pub(crate) resolution: Resolution,
    /// Where the books disagreed when it was proposed.
    pub(crate) drifts: Vec<Drift>,
    /// Who asked for the run that found it.
    pub(crate) proposed_by: String,
    /// When it was found.
    pub(crate) proposed_at: OffsetDateTime,
    /// Somebody else whose run has found it, too.
    pub(crate) confirmed_by: Option<String>,
    /// The ledger of the level when it was last seen so: the last entry that was read of the SKU, and the sums up to it.
    pub(crate) summed: (i64, Sums),
    /// How it was decided; `None` while it is proposed.
    pub(crate) decided: Option<Decided>,
    /// Version.
    pub(crate) version: i64,
}

impl Correction {
    /// By how much the books differed when it was proposed.
    pub(crate) fn gaps(&self) -> Gaps {
        Gaps::of(&self.drifts)
    }

    /// Whether two have looked when this one approves it: the one who found it and the one who approves. The service
    /// counts as one who looks, so what its own runs find anybody else may approve.
    pub(crate) fn may_be_approved_by(&self, actor: &str) -> bool {
        self.proposed_by != actor || self.confirmed_by.is_some()
    }

    /// The correction after an action; `None` when it is illegal now.
    pub(crate) fn after(&self, action: CorrectionAction, decided: Decided) -> Option<Self> {
        Some(Self {
            state: self.state.after(action)?,
            decided: Some(decided),
            version: self.version + 1,
            ..self.clone()
        })
    }
}

/// What a run does about a level that it looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Review {
    /// The last correction is out of date.
    pub(crate) outdate: bool,
    /// The last correction still says what the books say.
    pub(crate) keep: bool,
    /// A new one is proposed.
    pub(crate) propose: bool,
}

/// Compares what a run found with the last correction of the level. What was turned down is proposed again only by
/// a full run.
pub(crate) fn review(found: &Gaps, last: Option<&Correction>, is_full: bool) -> Review {
    let drifts = *found != Gaps::default();
    let same = drifts && last.is_some_and(|last| last.gaps() == *found);
    let in_state = |state| last.is_some_and(|last| last.state == state);
    let open = in_state(S::Proposed);
    let turned_down = in_state(S::Rejected) && same && !is_full;
    Review {
        outdate: open && !same,
        keep: (open && same) || turned_down,
        propose: drifts && !(open && same) && !turned_down,
    }
}

#[cfg(test)]
mod tests {
    use oms_core::CorrectionId;
    use uuid::Uuid;

    use super::*;
    use crate::domain::account::Account;

    const SQL: &str = include_str!("../../migrations/0004_ledger_checkpoints.sql");

    fn correction(state: CorrectionState, ledger: i64) -> Correction {
        Correction {
            id: CorrectionId::new(Uuid::from_u128(1)),
            key: LevelKey {
                sku: "A".parse().unwrap(),
                location: "x".parse().unwrap(),
                lot: String::new(),
            },
            state,
            resolution: Resolution::FollowLedger,
            drifts: vec![drift(ledger)],
            proposed_by: "user:a".to_owned(),
            proposed_at: OffsetDateTime::UNIX_EPOCH,
            confirmed_by: None,
            summed: (0, Sums::default()),
            decided: None,
            version: 1,
        }
    }

    fn drift(ledger: i64) -> Drift {
        Drift {
            account: Account::Available,
            ledger,
            stored: 5,
            reserved: None,
        }
    }

    fn decided() -> Decided {
        Decided {
            by: "user:b".to_owned(),
            at: OffsetDateTime::UNIX_EPOCH,
            note: "why".to_owned(),
        }
    }

    #[test]
    fn names_round_trip() {
        for state in CorrectionState::ALL {
            assert_eq!(CorrectionState::parse(state.as_str()), Some(state));
        }
        assert_eq!(CorrectionState::parse("proposed"), None);
    }

    #[test]
    fn the_database_knows_the_same_states_and_accounts() {
        let states = CorrectionState::ALL
            .map(CorrectionState::as_str)
            .join("', '");
        assert!(SQL.contains(&format!("CHECK (state IN ('{states}'))")));
        let accounts = Account::BUCKETS.map(Account::as_str).join("', '");
        assert!(SQL.contains(&format!("CHECK (account IN ('{accounts}'))")));
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
    fn every_state_and_action() {
        for state in CorrectionState::ALL {
            for action in [A::Approve, A::Reject, A::Outdate] {
                let before = correction(state, 4);
                let after = before.after(action, decided());
                assert_eq!(
                    after.is_some(),
                    state == S::Proposed,
                    "{state:?} {action:?}"
                );
                let Some(after) = after else { continue };
                assert_ne!(after.state, S::Proposed);
                assert_eq!((after.version, after.decided), (2, Some(decided())));
            }
            let expected: &[&str] = match state {
                S::Proposed => &["approve", "reject"],
                S::Approved | S::Rejected | S::Stale => &[],
            };
            assert_eq!(supported_actions(state), expected);
        }
    }

    #[test]
    fn four_eyes() {
        let mut found = correction(S::Proposed, 4);
        assert!(!found.may_be_approved_by("user:a"));
        assert!(found.may_be_approved_by("user:b"));
        found.confirmed_by = Some("service:inventory".to_owned());
        assert!(found.may_be_approved_by("user:a"));
    }

    #[test]
    fn a_run_reviews_what_there_is() {
        let (agree, drifts) = (Gaps::default(), Gaps::of(&[drift(4)]));
        let nothing = Review {
            outdate: false,
            keep: false,
            propose: false,
        };
        let [outdate, keep, propose] = [
            Review {
                outdate: true,
                ..nothing
            },
            Review {
                keep: true,
                ..nothing
            },
            Review {
                propose: true,
                ..nothing
            },
        ];
        let anew = Review {
            outdate: true,
            ..propose
        };
        let (same, other) = (4, 3);
        for (found, last, is_full, expected) in [
            (agree, None, false, nothing),
            (agree, Some((S::Proposed, same)), false, outdate),
            (agree, Some((S::Rejected, same)), true, nothing),
            (drifts, None, false, propose),
            (drifts, Some((S::Proposed, same)), false, keep),
            (drifts, Some((S::Proposed, same)), true, keep),
            (drifts, Some((S::Proposed, other)), false, anew),
            (drifts, Some((S::Rejected, same)), false, keep),
            (drifts, Some((S::Rejected, same)), true, propose),
            (drifts, Some((S::Rejected, other)), false, propose),
            (drifts, Some((S::Approved, same)), false, propose),
            (drifts, Some((S::Stale, same)), false, propose),
        ] {
            let last = last.map(|(state, ledger)| correction(state, ledger));
            assert_eq!(review(&found, last.as_ref(), is_full), expected, "{last:?}");
        }
    }
}
