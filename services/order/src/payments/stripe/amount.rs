//! Amounts as Stripe counts them, which is not always in the minor units of ISO 4217.

use oms_core::Money;

/// Currencies that Stripe counts in whole units. MGA has fifths by ISO 4217.
const WHOLE: [&str; 15] = [
    "BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF",
    "XOF", "XPF",
];
/// Currencies with three decimals, of which the last must be 0.
const THREE_DECIMALS: [&str; 5] = ["BHD", "JOD", "KWD", "OMR", "TND"];

/// Code of an amount that Stripe cannot be asked for.
const NOT_REPRESENTABLE: &str = "amount_not_representable";

/// An amount in Stripe's units. All currencies that are not listed have two decimals, also ISK and UGX,
/// which have none by ISO 4217. The error is a code.
pub(super) fn units(amount: Money) -> Result<i64, &'static str> {
    let code = amount.currency.code();
    let decimals = if WHOLE.contains(&code) {
        0
    } else if THREE_DECIMALS.contains(&code) {
        3
    } else {
        2
    };
    let ours = amount.currency.exponent();
    let units = if decimals >= ours {
        let factor = 10_i64.pow(decimals - ours);
        amount.minor.checked_mul(factor)
    } else {
        let divisor = 10_i64.pow(ours - decimals);
        (amount.minor % divisor == 0).then_some(amount.minor / divisor)
    };
    units
        .filter(|units| decimals != 3 || units % 10 == 0)
        .ok_or(NOT_REPRESENTABLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: &str, minor: i64) -> Result<i64, &'static str> {
        units(Money::new(code.parse().unwrap(), minor))
    }

    #[test]
    fn amounts_are_what_stripe_documents() {
        assert_eq!(of("USD", 1_099), Ok(1_099));
        assert_eq!(of("JPY", 500), Ok(500));
        assert_eq!(of("ISK", 5), Ok(500));
        assert_eq!(of("UGX", 5), Ok(500));
        assert_eq!(of("HUF", 1_045), Ok(1_045));
        assert_eq!(of("MGA", 500), Ok(5));
        assert_eq!(of("KWD", 5_120), Ok(5_120));
    }

    #[test]
    fn what_stripe_cannot_take_is_never_rounded() {
        for (code, minor) in [("KWD", 5_124), ("TND", 1), ("MGA", 550), ("CLF", 10_001)] {
            assert_eq!(of(code, minor), Err(NOT_REPRESENTABLE), "{code}");
        }
        assert_eq!(of("ISK", i64::MAX), Err(NOT_REPRESENTABLE));
    }
}
