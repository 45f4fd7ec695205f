//! The three books of a level: the ledger, the level as it is stored, and the open reservations. Where they disagree,
//! and what brings them together.

use super::account::Account;

/// Units per bucket, in the order of [`Account::BUCKETS`]; a difference or a sum may be below zero.
pub(crate) type Sums = [i64; 8];

/// What the books say of a level at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Books {
    /// Sums of the ledger.
    pub(crate) ledger: Sums,
    /// The level as it is stored.
    pub(crate) stored: Sums,
    /// Units of open reservations per bucket; only those of HELD and ALLOCATED mean anything.
    pub(crate) reserved: Sums,
}

/// An account about which the books disagree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Drift {
    /// Account.
    pub(crate) account: Account,
    /// Sum of the ledger.
    pub(crate) ledger: i64,
    /// Units in the stored level.
    pub(crate) stored: i64,
    /// Units of open reservations; `None` for an account that none hold.
    pub(crate) reserved: Option<i64>,
}

/// By how much the books differ from the stored level. Whatever the lanes do moves all books alike, so this stays as
/// it is while stock moves, and changes only with what went around them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Gaps {
    /// Ledger less stored level.
    ledger: Sums,
    /// Reservations less stored level.
    reserved: Sums,
}

/// Which book is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Resolution {
    /// The ledger: the level becomes what it says, without an entry.
    FollowLedger,
    /// The level, as a count has shown: entries make the ledger say the same.
    KeepLevel,
}

/// What brings the books of a level together. The repair comes first: then ledger and level agree, and the moves keep
/// it so.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Repair {
    /// Units to add to the stored level without an entry.
    pub(crate) level: Sums,
    /// Entries: account that units leave, account they enter, units.
    pub(crate) moves: Vec<(Account, Account, i64)>,
}

/// A repair would leave an account below zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BelowZero {
    /// Account.
    pub(crate) account: Account,
    /// Units it would have.
    pub(crate) units: i64,
}

impl Resolution {
    /// All resolutions.
    pub(crate) const ALL: [Self; 2] = [Self::FollowLedger, Self::KeepLevel];

    /// The name that the database and people use.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::FollowLedger => "FOLLOW_LEDGER",
            Self::KeepLevel => "KEEP_LEVEL",
        }
    }

    /// Reads the name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }
}

/// Whether open reservations hold units of this account.
fn is_reserved(account: Account) -> bool {
    matches!(account, Account::Held | Account::Allocated)
}

/// Units of an account; 0 for one outside of the shelf.
pub(crate) fn of(sums: &Sums, account: Account) -> i64 {
    let place = account.bucket();
    place
        .and_then(|place| sums.get(place))
        .copied()
        .unwrap_or(0)
}

/// Adds units to an account. Accounts outside of the shelf are not counted.
pub(crate) fn add(sums: &mut Sums, account: Account, units: i64) {
    if let Some(sum) = account.bucket().and_then(|place| sums.get_mut(place)) {
        *sum = sum.saturating_add(units);
    }
}

impl Books {
    /// Accounts about which the books disagree, in their order.
    pub(crate) fn drifts(&self) -> Vec<Drift> {
        let drifts = Account::BUCKETS.into_iter().map(|account| Drift {
            account,
            ledger: of(&self.ledger, account),
            stored: of(&self.stored, account),
            reserved: is_reserved(account).then(|| of(&self.reserved, account)),
        });
        drifts
            .filter(|one| {
                one.ledger != one.stored || one.reserved.is_some_and(|units| units != one.stored)
            })
            .collect()
    }

    /// By how much the books differ.
    pub(crate) fn gaps(&self) -> Gaps {
        Gaps::of(&self.drifts())
    }

    /// The resolution to propose. `remembered` are the books with the ledger read from where they last agreed: if that
    /// is what the level says, entries before that point were changed, and the level is the better witness.
    pub(crate) fn proposal(&self, remembered: &Self) -> Resolution {
        let changed_behind = self.ledger != self.stored && remembered.ledger == remembered.stored;
        let fits = |resolution| {
            let repair = self.gaps().repair(resolution);
            repair.after(&self.stored).is_ok()
        };
        if changed_behind || (!fits(Resolution::FollowLedger) && fits(Resolution::KeepLevel)) {
            Resolution::KeepLevel
        } else {
            Resolution::FollowLedger
        }
    }
}

impl Gaps {
    /// The differences that these drifts are.
    pub(crate) fn of(drifts: &[Drift]) -> Self {
        let mut gaps = Self::default();
        for drift in drifts {
            let ledger = drift.ledger.saturating_sub(drift.stored);
            add(&mut gaps.ledger, drift.account, ledger);
            if let Some(units) = drift.reserved {
                add(
                    &mut gaps.reserved,
                    drift.account,
                    units.saturating_sub(drift.stored),
                );
            }
        }
        gaps
    }

    /// What closes them.
    pub(crate) fn repair(&self, resolution: Resolution) -> Repair {
        let mut repair = Repair {
            level: self.ledger,
            moves: Vec::new(),
        };
        let mut reserved = self.reserved;
        for account in Account::BUCKETS {
            let gap = of(&self.ledger, account);
            match resolution {
                // The level moves towards the reservations, or away from them.
                Resolution::FollowLedger if is_reserved(account) => {
                    add(&mut reserved, account, gap.saturating_neg());
                }
                Resolution::FollowLedger => {}
                Resolution::KeepLevel => {
                    repair.shift(Account::Variance, account, gap.saturating_neg());
                }
            }
        }
        for account in [Account::Held, Account::Allocated] {
            repair.shift(Account::Available, account, of(&reserved, account));
        }
        repair
    }
}

impl Repair {
    /// An entry from one account to another, or back when the units are below zero.
    fn shift(&mut self, from: Account, to: Account, units: i64) {
        match units {
            0 => {}
            1.. => self.moves.push((from, to, units)),
            _ => self.moves.push((to, from, units.saturating_abs())),
        }
    }

    /// The level after it.
    pub(crate) fn after(&self, stored: &Sums) -> Result<Sums, BelowZero> {
        let mut after = *stored;
        for account in Account::BUCKETS {
            add(&mut after, account, of(&self.level, account));
        }
        for (from, to, units) in &self.moves {
            add(&mut after, *from, units.saturating_neg());
            add(&mut after, *to, *units);
        }
        let below = Account::BUCKETS
            .into_iter()
            .map(|account| BelowZero {
                account,
                units: of(&after, account),
            })
            .find(|one| one.units < 0);
        match below {
            Some(below) => Err(below),
            None => Ok(after),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::account::EntryType;

    /// Books of which the ledger and the level say this of the first three buckets, and the reservations that.
    fn books(ledger: [i64; 3], stored: [i64; 3], reserved: [i64; 2]) -> Books {
        let wide = |three: [i64; 3]| {
            let mut sums = Sums::default();
            sums[..3].copy_from_slice(&three);
            sums
        };
        Books {
            ledger: wide(ledger),
            stored: wide(stored),
            reserved: wide([0, reserved[0], reserved[1]]),
        }
    }

    #[test]
    fn names_round_trip() {
        for resolution in Resolution::ALL {
            assert_eq!(Resolution::parse(resolution.as_str()), Some(resolution));
        }
        let sql = include_str!("../../migrations/0004_ledger_checkpoints.sql");
        let names = Resolution::ALL.map(Resolution::as_str).join("', '");
        assert!(sql.contains(&format!("CHECK (resolution IN ('{names}'))")));
    }

    #[test]
    fn books_that_agree_have_no_drift() {
        let books = books([5, 2, 1], [5, 2, 1], [2, 1]);
        assert!(books.drifts().is_empty());
        assert_eq!(books.gaps(), Gaps::default());
        assert_eq!(
            books.gaps().repair(Resolution::KeepLevel),
            Repair::default()
        );
    }

    #[test]
    fn a_level_changed_by_hand_follows_the_ledger() {
        let books = books([5, 0, 0], [7, 0, 0], [0, 0]);
        assert_eq!(books.proposal(&books), Resolution::FollowLedger);
        let repair = books.gaps().repair(Resolution::FollowLedger);
        assert_eq!((repair.level[0], repair.moves.len()), (-2, 0));
        let repair = books.gaps().repair(Resolution::KeepLevel);
        assert_eq!(
            repair.moves,
            [(Account::Variance, Account::Available, 2)],
            "a count that found seven"
        );
    }

    #[test]
    fn units_that_nobody_holds_become_free() {
        let books = books([3, 2, 0], [3, 2, 0], [0, 0]);
        for resolution in Resolution::ALL {
            let repair = books.gaps().repair(resolution);
            assert_eq!(repair.level, Sums::default());
            assert_eq!(repair.moves, [(Account::Held, Account::Available, 2)]);
        }
    }

    #[test]
    fn a_lost_hold_entry_is_written_again() {
        let books = books([5, 0, 0], [3, 2, 0], [2, 0]);
        let repair = books.gaps().repair(Resolution::FollowLedger);
        assert_eq!(repair.moves, [(Account::Available, Account::Held, 2)]);
        assert_eq!(repair.after(&books.stored), Ok(books.stored));
    }

    #[test]
    fn the_level_is_kept_where_the_ledger_was_changed_behind_or_is_below_zero() {
        let changed = books([5, 0, 0], [9, 0, 0], [0, 0]);
        let remembered = books([8, 0, 0], [8, 0, 0], [0, 0]);
        assert_eq!(changed.proposal(&remembered), Resolution::KeepLevel);
        assert_eq!(changed.proposal(&changed), Resolution::FollowLedger);
        let lost = books([-4, 0, 0], [1, 0, 0], [0, 0]);
        let below = BelowZero {
            account: Account::Available,
            units: -4,
        };
        let repair = lost.gaps().repair(Resolution::FollowLedger);
        assert_eq!(repair.after(&lost.stored), Err(below));
        assert_eq!(lost.proposal(&lost), Resolution::KeepLevel);
    }

    fn any_sums(range: std::ops::Range<i64>) -> impl Strategy<Value = Sums> {
        prop::array::uniform8(range)
    }

    proptest! {
        #[test]
        fn a_repair_brings_the_books_together(
            ledger in any_sums(-9..20), stored in any_sums(0..20), reserved in any_sums(0..9)
        ) {
            let mut held = Sums::default();
            held[1..3].copy_from_slice(&reserved[1..3]);
            let books = Books { ledger, stored, reserved: held };
            for resolution in Resolution::ALL {
                let repair = books.gaps().repair(resolution);
                let mut sums = ledger;
                for (from, to, units) in &repair.moves {
                    prop_assert!(*units > 0 && EntryType::Correct.allows(*from, *to));
                    add(&mut sums, *from, -units);
                    add(&mut sums, *to, *units);
                }
                let after = match repair.after(&stored) {
                    Ok(after) => after,
                    Err(below) => {
                        prop_assert_eq!(below.units, of(&sums, below.account));
                        continue;
                    }
                };
                prop_assert_eq!(after, sums, "level and ledger");
                prop_assert_eq!(&after[1..3], &held[1..3], "reservations");
                let on_hand = |sums: &Sums| sums.iter().sum::<i64>();
                let right = if resolution == Resolution::KeepLevel { stored } else { ledger };
                prop_assert_eq!(on_hand(&after), on_hand(&right), "units on the shelf");
            }
        }

        #[test]
        fn stock_that_moves_leaves_the_gaps_as_they_are(
            ledger in any_sums(0..20), stored in any_sums(0..20), reserved in any_sums(0..9), moved in any_sums(-9..9)
        ) {
            let before = Books { ledger, stored, reserved };
            let mut after = before;
            for account in Account::BUCKETS {
                let units = of(&moved, account);
                add(&mut after.ledger, account, units);
                add(&mut after.stored, account, units);
                add(&mut after.reserved, account, units);
            }
            prop_assert_eq!(before.gaps(), after.gaps());
        }
    }
}
