//! Applies corrections: the lane is the one writer of levels and ledger, also where they have to be repaired.

use std::collections::BTreeMap;

use oms_core::{CorrectionId, Violations};

use super::account::{Account, EntryType};
use super::board::{Board, Draft};
use super::books::{Gaps, Repair};
use super::command::Correct;
use super::correction::{Correction, CorrectionAction, Decided};
use super::effect::{Entry, Outcome};
use super::level::Buckets;
use super::refusal::Refusal;

/// A correction as it is stored, and by how much the books of its level differ under the lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OpenCorrection {
    /// The correction.
    pub(crate) correction: Correction,
    /// By how much the books differ.
    pub(crate) gaps: Gaps,
}

/// Corrections on a board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Corrections {
    loaded: BTreeMap<CorrectionId, OpenCorrection>,
    /// Those that were decided here, as they are now.
    decided: BTreeMap<CorrectionId, Correction>,
}

impl Corrections {
    pub(super) fn of(loaded: Vec<OpenCorrection>) -> Self {
        Self {
            loaded: loaded
                .into_iter()
                .map(|one| (one.correction.id, one))
                .collect(),
            decided: BTreeMap::new(),
        }
    }

    /// A correction as it is now.
    fn get(&self, id: CorrectionId) -> Result<&Correction, Refusal> {
        let loaded = || self.loaded.get(&id).map(|one| &one.correction);
        let found = self.decided.get(&id).or_else(loaded);
        found.ok_or(Refusal::UnknownCorrection(id))
    }
}

impl Board {
    /// Corrections that were decided here.
    pub(crate) fn decided_corrections(&self) -> impl Iterator<Item = &Correction> {
        self.corrections.decided.values()
    }

    /// Answer to an approval that succeeded before.
    pub(super) fn corrected(&self, id: CorrectionId) -> Result<Outcome, Refusal> {
        let found = self.corrections.get(id)?;
        Ok(Outcome::Correction(Box::new(found.clone())))
    }

    /// Applies a correction when the books still differ as they did when it was proposed.
    pub(super) fn correct(&mut self, correct: &Correct) -> Result<Outcome, Refusal> {
        let id = correct.correction;
        let approved = self.approved(correct)?;
        let gaps = self.corrections.loaded.get(&id).map(|one| one.gaps);
        if gaps != Some(approved.gaps()) {
            return Err(Refusal::CorrectionStale(id));
        }
        let repair = approved.gaps().repair(approved.resolution);
        let before = self.levels.get(&approved.key).copied().unwrap_or_default();
        let after = repair.after(&before.0).map_err(Refusal::StockNegative)?;
        self.commit(Draft {
            reservations: Vec::new(),
            entries: entries(&approved, &repair),
            repaired: [(approved.key.clone(), Buckets(after))].into(),
        })?;
        let key = approved.key.clone();
        self.corrections.decided.insert(id, approved);
        if self.available(&key) > before.get(Account::Available) {
            self.supply(&[key].into());
        }
        self.corrected(id)
    }

    /// The correction once it is approved, if it may be.
    fn approved(&self, correct: &Correct) -> Result<Correction, Refusal> {
        let found = self.corrections.get(correct.correction)?;
        if correct.version.is_some_and(|read| read != found.version) {
            let version = found.version;
            return Err(Refusal::CorrectionChanged { version });
        }
        let decided = Decided {
            by: self.actor.clone(),
            at: self.now,
            note: correct.note.clone(),
        };
        let action = CorrectionAction::Approve;
        let Some(approved) = found.after(action, decided) else {
            return Err(Refusal::CorrectionDecided {
                state: found.state,
                action: action.as_str(),
            });
        };
        if !found.may_be_approved_by(&self.actor) {
            let proposed_by = found.proposed_by.clone();
            return Err(Refusal::FourEyes { proposed_by });
        }
        let resolution = correct.resolution.unwrap_or(found.resolution);
        if resolution != found.resolution && correct.note.is_empty() {
            let mut violations = Violations::default();
            let message = "must say why it is not what was proposed";
            violations.push("note", "FIELD_REQUIRED", message);
            return Err(Refusal::Invalid(violations));
        }
        Ok(Correction {
            resolution,
            ..approved
        })
    }
}

fn entries(correction: &Correction, repair: &Repair) -> Vec<Entry> {
    let moves = repair.moves.iter();
    let entries = moves.map(|(from, to, quantity)| Entry {
        entry: EntryType::Correct,
        key: correction.key.clone(),
        from: *from,
        to: *to,
        quantity: *quantity,
        cause: format!("correction/{}", correction.id),
        // One account may be left for several others.
        line: to.as_str().to_owned(),
        reason: String::new(),
        reference: String::new(),
        actor: String::new(),
    });
    entries.collect()
}

#[cfg(test)]
mod tests {
    use oms_core::CorrectionId;
    use time::Duration;
    use uuid::Uuid;

    use super::*;
    use crate::domain::board::Loaded;
    use crate::domain::books::{Books, Resolution, Sums};
    use crate::domain::command::{Command, Fill};
    use crate::domain::correction::CorrectionState;
    use crate::domain::fixture::{ACTOR, HOLD, key, lanes, reserve, start};
    use crate::domain::level::Level;

    const ID: CorrectionId = CorrectionId::new(Uuid::from_u128(7));

    /// A board on which the books of a level say this, and a correction that has found it so.
    fn board(ledger: [i64; 3], stored: [i64; 3], reserved: [i64; 2]) -> Board {
        let wide = |three: [i64; 3]| {
            let mut sums = Sums::default();
            sums[..3].copy_from_slice(&three);
            sums
        };
        let books = Books {
            ledger: wide(ledger),
            stored: wide(stored),
            reserved: wide([0, reserved[0], reserved[1]]),
        };
        let correction = Correction {
            id: ID,
            key: key(0, 0),
            state: CorrectionState::Proposed,
            resolution: Resolution::FollowLedger,
            drifts: books.drifts(),
            proposed_by: "service:inventory".to_owned(),
            proposed_at: start(),
            confirmed_by: None,
            decided: None,
            version: 1,
        };
        let level = Level {
            key: key(0, 0),
            buckets: Buckets(books.stored),
        };
        let gaps = books.gaps();
        let loaded = Loaded {
            lanes: lanes(1),
            levels: vec![level],
            corrections: vec![OpenCorrection { correction, gaps }],
            ..Loaded::default()
        };
        Board::new(start() + Duration::HOUR, loaded)
    }

    fn approve(resolution: Resolution) -> Command {
        Command::Correct(Correct {
            correction: ID,
            key: key(0, 0),
            version: Some(1),
            resolution: Some(resolution),
            note: "counted".to_owned(),
            read: (0, Sums::default()),
        })
    }

    fn level(board: &Board) -> [i64; 3] {
        let buckets = board.level(&key(0, 0)).buckets.0;
        [buckets[0], buckets[1], buckets[2]]
    }

    #[test]
    fn what_a_batch_decided_before_is_kept() {
        for (resolution, expected) in [
            (Resolution::FollowLedger, [2, 3, 0]),
            (Resolution::KeepLevel, [4, 3, 0]),
        ] {
            let mut board = board([5, 0, 0], [7, 0, 0], [0, 0]);
            let hold = reserve(1, &[(0, 3)], HOLD, Fill::OrKill);
            board.decide(&hold, ACTOR).unwrap();
            board.decide(&approve(resolution), ACTOR).unwrap();
            assert_eq!(level(&board), expected, "{resolution:?}");
            let decided: Vec<_> = board.decided_corrections().collect();
            assert_eq!(decided.len(), 1);
            assert_eq!(decided[0].state, CorrectionState::Approved);
        }
    }

    #[test]
    fn twice_in_a_batch_is_applied_once() {
        let mut board = board([5, 0, 0], [7, 0, 0], [0, 0]);
        let command = approve(Resolution::KeepLevel);
        board.decide(&command, ACTOR).unwrap();
        let again = board.decide(&command, ACTOR);
        assert_eq!(again, Err(Refusal::CorrectionChanged { version: 2 }));
        assert_eq!((level(&board), board.entries().len()), ([7, 0, 0], 1));
        // The same call, repeated, is answered.
        let replayed = board.replay(&command);
        assert!(matches!(replayed, Ok(Outcome::Correction(one)) if one.version == 2));
    }

    #[test]
    fn accounts_may_cross_zero_on_the_way() {
        // One unit is free. Two more are promised, four are held for nobody.
        let mut board = board([1, 4, 0], [1, 4, 0], [0, 2]);
        board
            .decide(&approve(Resolution::FollowLedger), ACTOR)
            .unwrap();
        assert_eq!(level(&board), [3, 0, 2]);
    }

    #[test]
    fn a_refusal_changes_nothing() {
        let mut board = board([-1, 0, 0], [4, 0, 0], [0, 0]);
        ACTOR.clone_into(&mut board.actor);
        let before = board.clone();
        let refused = board.decide(&approve(Resolution::FollowLedger), ACTOR);
        assert!(matches!(refused, Err(Refusal::StockNegative(below)) if below.units == -1));
        assert_eq!(board, before);
    }
}
