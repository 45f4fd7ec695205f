//! The shape rules shared by the text ids.

/// A text does not have the shape its type asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be {rule}")]
pub struct ParseTextError {
    /// What was to be read, such as `sku`.
    pub what: &'static str,
    /// The rule it breaks, in words.
    pub rule: &'static str,
}

/// Whether `text` has 1 to `len_max` bytes that are all `allowed`.
pub(crate) fn matches(text: &str, len_max: usize, allowed: fn(u8) -> bool) -> bool {
    (1..=len_max).contains(&text.len()) && text.bytes().all(allowed)
}
