//! Stock keeping units.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::text::{self, ParseTextError};

/// The seller's name of an item: 1 to 64 characters of `A-Z a-z 0-9 . _ -`, case-sensitive.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sku(String);

impl Sku {
    /// The longest SKU in characters.
    pub const LEN_MAX: usize = 64;

    /// The text of the SKU.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Sku {
    type Err = ParseTextError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if !text::matches(text, Self::LEN_MAX, allowed) {
            return Err(ParseTextError {
                what: "sku",
                rule: "1 to 64 characters of A-Z a-z 0-9 . _ -",
            });
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for Sku {
    type Error = ParseTextError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Sku> for String {
    fn from(sku: Sku) -> Self {
        sku.0
    }
}

impl AsRef<str> for Sku {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Sku {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_usual_and_refuses_the_rest() {
        for good in ["A", "TEE-RED_M.2", &"x".repeat(64)] {
            assert_eq!(
                good.parse::<Sku>().map(String::from).as_deref(),
                Ok(good),
                "{good}"
            );
        }
        for wrong in ["", " A", "A B", "A/B", "Ä", &"x".repeat(65)] {
            assert!(wrong.parse::<Sku>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn stored_documents_are_checked_when_read() {
        assert!(serde_json::from_str::<Sku>("\"A-1\"").is_ok());
        assert!(serde_json::from_str::<Sku>("\"A 1\"").is_err());
    }
}
