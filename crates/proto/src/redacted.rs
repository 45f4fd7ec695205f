//! `Debug` of messages that nobody should find in a log.

use std::fmt;

use crate::common::v1::PostalAddress;
use crate::order::v1::PaymentMethod;

impl fmt::Debug for PostalAddress {
    /// Without what leads to a person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostalAddress")
            .field("country_code", &self.country_code)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for PaymentMethod {
    /// Without the token: that of a store credit is money for whoever reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PaymentMethod")
            .field("provider", &self.provider)
            .field("amount", &self.amount)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_and_tokens_are_not_shown() {
        let address = PostalAddress {
            recipient: "Claire Gute".to_owned(),
            address_lines: vec!["1 Main St".to_owned()],
            country_code: "US".to_owned(),
            ..PostalAddress::default()
        };
        let shown = format!("{address:?}");
        assert!(shown.contains("US") && !shown.contains("Claire") && !shown.contains("Main"));
        let method = PaymentMethod {
            provider: "store_credit".to_owned(),
            token: "GIFT-2026-0001".to_owned(),
            amount: None,
        };
        let shown = format!("{method:?}");
        assert!(shown.contains("store_credit") && !shown.contains("GIFT"));
    }
}
