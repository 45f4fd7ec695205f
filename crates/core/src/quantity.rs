//! Quantities of goods.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A quantity asked for, in whole base units (each, gram, millimetre): 1 to 1 000 000 000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Quantity(i64);

/// A number is no quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("quantity must be 1 to 1000000000, not {0}")]
pub struct QuantityError(
    /// The number that was refused.
    pub i64,
);

impl Quantity {
    /// The largest quantity of one line. Far below `i64::MAX`, so that sums over lines cannot overflow.
    pub const MAX: i64 = 1_000_000_000;

    /// A checked quantity of base units.
    pub fn try_new(units: i64) -> Result<Self, QuantityError> {
        if !(1..=Self::MAX).contains(&units) {
            return Err(QuantityError(units));
        }
        Ok(Self(units))
    }

    /// The number of base units.
    pub fn get(self) -> i64 {
        self.0
    }
}

impl TryFrom<i64> for Quantity {
    type Error = QuantityError;

    fn try_from(units: i64) -> Result<Self, Self::Error> {
        Self::try_new(units)
    }
}

impl From<Quantity> for i64 {
    fn from(quantity: Quantity) -> Self {
        quantity.0
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds() {
        assert_eq!(Quantity::try_new(1).map(Quantity::get), Ok(1));
        assert!(Quantity::try_new(Quantity::MAX).is_ok());
        for wrong in [0, -1, Quantity::MAX + 1, i64::MIN] {
            assert_eq!(Quantity::try_new(wrong), Err(QuantityError(wrong)));
        }
    }
}
