//! Ids that callers make, and the dice by which they choose.

use oms_core::{IdSource, SystemIds};
use uuid::Uuid;

/// A source of ids that are spread over all values, as ids derived from orders are.
#[derive(Debug)]
pub(super) struct Ids {
    own: Uuid,
    count: u64,
}

impl Ids {
    /// A source that shares no id with any other.
    pub(super) fn new() -> Self {
        Self {
            own: SystemIds.next(),
            count: 0,
        }
    }

    /// An id nobody has.
    pub(super) fn fresh(&mut self) -> String {
        self.count += 1;
        oms_core::derive(self.own, &self.count.to_string()).to_string()
    }
}

/// Numbers at random (SplitMix64); the same seed throws the same ones.
#[derive(Debug)]
pub(super) struct Dice(u64);

impl Dice {
    /// Dice of this seed.
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number from 1 to `sides`.
    pub(super) fn throw(&mut self, sides: u32) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        1 + (mixed ^ (mixed >> 31)) % u64::from(sides.max(1))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_ids_are_the_same() {
        let (mut one, mut other) = (Ids::new(), Ids::new());
        let ids: BTreeSet<String> = (0..100)
            .flat_map(|_| [one.fresh(), other.fresh()])
            .collect();
        assert_eq!(ids.len(), 200);
    }

    #[test]
    fn dice_throw_every_side_and_no_other() {
        let mut dice = Dice::new(7);
        let thrown: BTreeSet<u64> = (0..200).map(|_| dice.throw(6)).collect();
        assert_eq!(thrown, (1..=6).collect());
        assert_eq!(dice.throw(1), 1);
    }
}
