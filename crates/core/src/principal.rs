//! Who does something.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::text;

/// The kinds of callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PrincipalKind {
    /// A person, or a platform that acts for people.
    User,
    /// One of our own services.
    Service,
    /// A logistics partner that works for us.
    Partner,
}

impl PrincipalKind {
    /// The word before the colon.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Service => "service",
            Self::Partner => "partner",
        }
    }
}

/// A caller as it is written into every event and timeline row: `user:alice`, `service:order`,
/// `partner:acme`. The id has 1 to 128 visible ASCII characters, so that it fits into a header.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Principal {
    kind: PrincipalKind,
    id: String,
}

/// A text names no principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("principal must be user:, service: or partner: and 1 to 128 visible ASCII characters")]
pub struct ParsePrincipalError;

impl Principal {
    /// A checked principal.
    pub fn try_new(kind: PrincipalKind, id: &str) -> Result<Self, ParsePrincipalError> {
        if !text::matches(id, 128, |byte| byte.is_ascii_graphic()) {
            return Err(ParsePrincipalError);
        }
        Ok(Self {
            kind,
            id: id.to_owned(),
        })
    }

    /// What kind of caller it is.
    pub fn kind(&self) -> PrincipalKind {
        self.kind
    }

    /// The id without the kind.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl FromStr for Principal {
    type Err = ParsePrincipalError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, id) = text.split_once(':').ok_or(ParsePrincipalError)?;
        let kind = match kind {
            "user" => PrincipalKind::User,
            "service" => PrincipalKind::Service,
            "partner" => PrincipalKind::Partner,
            _ => return Err(ParsePrincipalError),
        };
        Self::try_new(kind, id)
    }
}

impl TryFrom<String> for Principal {
    type Error = ParsePrincipalError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Principal> for String {
    fn from(principal: Principal) -> Self {
        principal.to_string()
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.as_str(), self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for text in ["user:alice", "service:order", "partner:acme", "user:a:b"] {
            assert_eq!(
                text.parse::<Principal>().map(|p| p.to_string()).as_deref(),
                Ok(text)
            );
        }
    }

    #[test]
    fn refuses_unknown_kinds_and_bad_ids() {
        for wrong in [
            "", "alice", "root:x", "user:", "user:a b", "user:é", "User:x",
        ] {
            assert!(wrong.parse::<Principal>().is_err(), "{wrong:?}");
        }
    }
}
