//! The buckets of one SKU at one place.

use oms_core::{LocationId, Sku};

use super::account::Account;

/// Which level: a SKU at a location in a lot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LevelKey {
    /// SKU.
    pub(crate) sku: Sku,
    /// Location.
    pub(crate) location: LocationId,
    /// Lot; empty when the item has none.
    pub(crate) lot: String,
}

/// Units per bucket, in the order of [`Account::BUCKETS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Buckets(pub(crate) [i64; 8]);

/// A move would empty a bucket below zero or overflow one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutOfBounds;

impl Buckets {
    /// Units in a bucket; 0 for an account outside of the shelf.
    pub(crate) fn get(&self, account: Account) -> i64 {
        account
            .bucket()
            .and_then(|place| self.0.get(place))
            .copied()
            .unwrap_or(0)
    }

    /// Sum of all buckets.
    pub(crate) fn on_hand(&self) -> i64 {
        self.0
            .iter()
            .fold(0, |sum, units| sum.saturating_add(*units))
    }

    /// Adds `delta` to a bucket and keeps it at or above zero. Accounts outside have no bounds.
    pub(crate) fn add(&mut self, account: Account, delta: i64) -> Result<(), OutOfBounds> {
        let Some(units) = account.bucket().and_then(|place| self.0.get_mut(place)) else {
            return Ok(());
        };
        let sum = units
            .checked_add(delta)
            .filter(|sum| *sum >= 0)
            .ok_or(OutOfBounds)?;
        *units = sum;
        Ok(())
    }

    /// What has to be added to `before` to get here.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let mut delta = *self;
        for (now, then) in delta.0.iter_mut().zip(before.0) {
            *now = now.wrapping_sub(then);
        }
        delta
    }
}

/// A level as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Level {
    /// Which one.
    pub(crate) key: LevelKey,
    /// Its units.
    pub(crate) buckets: Buckets,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_stay_at_or_above_zero() {
        let mut buckets = Buckets::default();
        assert_eq!(buckets.add(Account::Available, 3), Ok(()));
        assert_eq!(buckets.add(Account::Available, -4), Err(OutOfBounds));
        assert_eq!(buckets.add(Account::Available, i64::MAX), Err(OutOfBounds));
        assert_eq!(buckets.add(Account::Supplier, -4), Ok(()));
        assert_eq!((buckets.get(Account::Available), buckets.on_hand()), (3, 3));
    }

    #[test]
    fn deltas_lead_from_before_to_now() {
        let before = Buckets([5, 0, 1, 0, 0, 0, 0, 0]);
        let now = Buckets([2, 3, 1, 0, 0, 0, 0, 0]);
        assert_eq!(now.since(&before), Buckets([-3, 3, 0, 0, 0, 0, 0, 0]));
    }
}
