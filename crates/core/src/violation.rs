//! What is wrong with a request: all of it at once.

use std::fmt;
use std::str::FromStr;

/// One rule that one field of a request breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field in the request, such as `lines[0].quantity`.
    pub field: String,
    /// Name of the `ErrorReason` without its prefix, such as `QUANTITY_INVALID`.
    pub reason: &'static str,
    /// What is wrong, for people.
    pub message: String,
}

/// Collects everything that is wrong with a request, so that the caller can mend it in one go.
///
/// ```
/// use oms_core::{Sku, Violations};
///
/// let mut violations = Violations::default();
/// let sku: Option<Sku> = violations.parse("lines[0].sku", "FIELD_MALFORMED", "A 1");
/// violations.check(0 > 1, "lines[0].quantity", "QUANTITY_INVALID", "must be at least 1");
/// assert!(sku.is_none());
/// assert_eq!(violations.len(), 2);
/// assert!(violations.into_result().is_err());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Violations(Vec<Violation>);

impl Violations {
    /// Adds a violation.
    pub fn push(
        &mut self,
        field: impl Into<String>,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        self.0.push(Violation {
            field: field.into(),
            reason,
            message: message.into(),
        });
    }

    /// Adds a violation unless `holds`; hands `holds` back.
    pub fn check(
        &mut self,
        holds: bool,
        field: impl Into<String>,
        reason: &'static str,
        message: impl Into<String>,
    ) -> bool {
        if !holds {
            self.push(field, reason, message);
        }
        holds
    }

    /// Reads a typed value; a text that is none becomes a violation with the type's own words.
    pub fn parse<T>(
        &mut self,
        field: impl Into<String>,
        reason: &'static str,
        text: &str,
    ) -> Option<T>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        text.parse()
            .map_err(|error: T::Err| self.push(field, reason, error.to_string()))
            .ok()
    }

    /// Adds the violations of a part of the request under the part's own field name.
    pub fn extend_under(&mut self, field: &str, part: Self) {
        self.0.extend(part.0.into_iter().map(|violation| Violation {
            field: format!("{field}.{}", violation.field),
            ..violation
        }));
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many violations there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The violations in the order they were found.
    pub fn iter(&self) -> std::slice::Iter<'_, Violation> {
        self.0.iter()
    }

    /// Ok when nothing is wrong.
    pub fn into_result(self) -> Result<(), Self> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl From<Violation> for Violations {
    fn from(violation: Violation) -> Self {
        Self(vec![violation])
    }
}

impl IntoIterator for Violations {
    type Item = Violation;
    type IntoIter = std::vec::IntoIter<Violation>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Violations {
    type Item = &'a Violation;
    type IntoIter = std::slice::Iter<'a, Violation>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, violation) in self.0.iter().enumerate() {
            let gap = if n == 0 { "" } else { "; " };
            write!(f, "{gap}{}: {}", violation.field, violation.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Violations {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collects_all_in_order() {
        let mut violations = Violations::default();
        assert!(violations.check(true, "a", "FIELD_REQUIRED", "is empty"));
        assert!(!violations.check(false, "b", "FIELD_REQUIRED", "is empty"));
        let mut part = Violations::default();
        part.push("quantity", "QUANTITY_INVALID", "must be at least 1");
        violations.extend_under("lines[0]", part);
        let error = violations.into_result().unwrap_err();
        assert_eq!(
            error.to_string(),
            "b: is empty; lines[0].quantity: must be at least 1"
        );
    }

    #[test]
    fn nothing_wrong_is_ok() {
        let mut violations = Violations::default();
        assert_eq!(violations.parse("n", "FIELD_MALFORMED", "7"), Some(7));
        assert_eq!(violations.into_result(), Ok(()));
    }
}
