//! Values that are never shown.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A secret, or personal data: `Debug` shows `[redacted]`, and there is no `Display`.
///
/// ```
/// let email = oms_core::Redacted::new("claire@example.com");
/// assert_eq!(format!("{email:?}"), "[redacted]");
/// assert_eq!(*email.reveal(), "claire@example.com");
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Redacted<T>(T);

impl<T> Redacted<T> {
    /// Hides a value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, for where it has to go.
    pub const fn reveal(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}
