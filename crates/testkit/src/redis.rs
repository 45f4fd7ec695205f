use std::fmt;

/// Begins every key of one test, so that tests can share a Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisPrefix(String);

impl RedisPrefix {
    /// A prefix no other test has; ends with a colon.
    pub fn new() -> Self {
        Self(format!("test:{}:", crate::unique()))
    }

    /// The prefix.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key under this prefix.
    pub fn key(&self, key: &str) -> String {
        format!("{}{key}", self.0)
    }
}

impl Default for RedisPrefix {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for RedisPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
