//! Money in whole minor units of one currency.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An ISO 4217 currency in which an amount can be stated.
///
/// Codes without a minor unit (gold, testing, "no currency") are refused. Superseded currencies are
/// taken: old orders must stay readable when a country changes its money.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency(iso_currency::Currency);

/// A text is no currency code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("currency must be an ISO 4217 code in capitals, such as USD")]
pub struct ParseCurrencyError;

impl Currency {
    /// US dollar.
    pub const USD: Self = Self(iso_currency::Currency::USD);
    /// Euro.
    pub const EUR: Self = Self(iso_currency::Currency::EUR);
    /// Japanese yen, which has no minor unit.
    pub const JPY: Self = Self(iso_currency::Currency::JPY);
    /// Kuwaiti dinar, which has three decimals.
    pub const KWD: Self = Self(iso_currency::Currency::KWD);

    /// The code, such as `USD`.
    pub fn code(self) -> &'static str {
        self.0.code()
    }

    /// The number of decimals: 2 for USD, 0 for JPY, 3 for KWD.
    pub fn exponent(self) -> u32 {
        // Parsing refuses currencies without an exponent.
        self.0.exponent().map_or(0, u32::from)
    }
}

impl FromStr for Currency {
    type Err = ParseCurrencyError;

    fn from_str(code: &str) -> Result<Self, Self::Err> {
        iso_currency::Currency::from_code(code)
            .filter(|currency| currency.exponent().is_some())
            .map(Self)
            .ok_or(ParseCurrencyError)
    }
}

impl TryFrom<String> for Currency {
    type Error = ParseCurrencyError;

    fn try_from(code: String) -> Result<Self, Self::Error> {
        code.parse()
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.code().to_owned()
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

/// An amount in whole minor units of one currency: `{USD, 1999}` is 19.99 dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    /// The currency.
    pub currency: Currency,
    /// The amount in minor units; negative amounts are owed the other way.
    pub minor: i64,
}

/// Two amounts cannot be combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The amounts are in different currencies.
    #[error("amounts are in different currencies: {left} and {right}")]
    CurrencyMismatch {
        /// Currency of the left amount.
        left: Currency,
        /// Currency of the right amount.
        right: Currency,
    },
    /// The result does not fit into 64 bits.
    #[error("amount does not fit")]
    Overflow,
}

impl From<crate::rounding::Overflow> for MoneyError {
    fn from(_: crate::rounding::Overflow) -> Self {
        Self::Overflow
    }
}

impl Money {
    /// An amount in minor units.
    pub const fn new(currency: Currency, minor: i64) -> Self {
        Self { currency, minor }
    }

    /// Nothing, in a currency.
    pub const fn zero(currency: Currency) -> Self {
        Self::new(currency, 0)
    }

    /// Whether the amount is zero.
    pub fn is_zero(self) -> bool {
        self.minor == 0
    }

    /// Whether the amount is below zero.
    pub fn is_negative(self) -> bool {
        self.minor < 0
    }

    /// The sum of two amounts of one currency.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        self.with(self.minor.checked_add(other.minor))
    }

    /// The difference of two amounts of one currency.
    pub fn checked_sub(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        self.with(self.minor.checked_sub(other.minor))
    }

    /// The amount times a number of units.
    pub fn checked_mul(self, units: i64) -> Result<Self, MoneyError> {
        self.with(self.minor.checked_mul(units))
    }

    /// The sum of many amounts of one currency; zero when there are none.
    pub fn sum(
        currency: Currency,
        amounts: impl IntoIterator<Item = Self>,
    ) -> Result<Self, MoneyError> {
        amounts
            .into_iter()
            .try_fold(Self::zero(currency), Self::checked_add)
    }

    fn same_currency(self, other: Self) -> Result<(), MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::CurrencyMismatch {
                left: self.currency,
                right: other.currency,
            });
        }
        Ok(())
    }

    fn with(self, minor: Option<i64>) -> Result<Self, MoneyError> {
        let minor = minor.ok_or(MoneyError::Overflow)?;
        Ok(Self::new(self.currency, minor))
    }
}

impl fmt::Display for Money {
    /// Writes the amount with its decimals and the code: `19.99 USD`, `-500 JPY`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exponent = self.currency.exponent();
        let sign = if self.minor < 0 { "-" } else { "" };
        let magnitude = self.minor.unsigned_abs();
        if exponent == 0 {
            return write!(f, "{sign}{magnitude} {}", self.currency);
        }
        let base = 10_u64.pow(exponent);
        let width = usize::try_from(exponent).unwrap_or_default();
        let (whole, rest) = (magnitude / base, magnitude % base);
        write!(f, "{sign}{whole}.{rest:0width$} {}", self.currency)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn currencies_have_their_decimals() {
        for (code, exponent) in [("USD", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4)] {
            assert_eq!(code.parse().map(Currency::exponent), Ok(exponent), "{code}");
        }
        for wrong in ["", "usd", "US", "XXQ", "XXX", "XAU", "DOLLAR"] {
            assert_eq!(
                wrong.parse::<Currency>(),
                Err(ParseCurrencyError),
                "{wrong:?}"
            );
        }
    }

    #[test]
    fn amounts_of_different_currencies_do_not_mix() {
        let mixed = Money::new(Currency::USD, 1).checked_add(Money::new(Currency::EUR, 1));
        assert_eq!(
            mixed,
            Err(MoneyError::CurrencyMismatch {
                left: Currency::USD,
                right: Currency::EUR
            })
        );
    }

    #[test]
    fn overflow_is_an_error() {
        let most = Money::new(Currency::USD, i64::MAX);
        let one = Money::new(Currency::USD, 1);
        assert_eq!(most.checked_add(one), Err(MoneyError::Overflow));
        assert_eq!(most.checked_mul(2), Err(MoneyError::Overflow));
        assert_eq!(
            Money::new(Currency::USD, i64::MIN).checked_sub(one),
            Err(MoneyError::Overflow)
        );
        assert_eq!(
            Money::sum(Currency::USD, [most, one]),
            Err(MoneyError::Overflow)
        );
        assert_eq!(
            Money::sum(Currency::USD, []),
            Ok(Money::zero(Currency::USD))
        );
    }

    #[test]
    fn people_read_decimals() {
        for (currency, minor, text) in [
            (Currency::USD, 1_999, "19.99 USD"),
            (Currency::USD, 5, "0.05 USD"),
            (Currency::USD, -5, "-0.05 USD"),
            (Currency::JPY, -500, "-500 JPY"),
            (Currency::KWD, 1_001, "1.001 KWD"),
            (Currency::USD, i64::MIN, "-92233720368547758.08 USD"),
        ] {
            assert_eq!(Money::new(currency, minor).to_string(), text);
        }
    }

    #[test]
    fn documents_state_code_and_minor_units() {
        let json = r#"{"currency":"USD","minor":1999}"#;
        assert_eq!(
            serde_json::to_string(&Money::new(Currency::USD, 1_999)).unwrap(),
            json
        );
        assert_eq!(serde_json::from_str::<Money>(json).unwrap().minor, 1_999);
    }

    proptest! {
        #[test]
        fn what_was_added_can_be_taken_away(a in any::<i64>(), b in any::<i64>()) {
            let (a, b) = (Money::new(Currency::USD, a), Money::new(Currency::USD, b));
            if let Ok(sum) = a.checked_add(b) {
                prop_assert_eq!(sum.checked_sub(b), Ok(a));
            }
        }
    }
}
