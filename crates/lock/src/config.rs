use std::time::Duration;

/// Where Redis is and how long anything may take.
#[derive(Debug, Clone)]
pub struct LeaseConfig {
    /// Address, `redis://[user:password@]host[:port][/database]`.
    pub url: String,
    /// Begins every key; no braces.
    pub key_prefix: String,
    /// How long a lease lives unless it is given back.
    pub ttl: Duration,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// How long to wait for an answer.
    pub command_timeout: Duration,
    /// How long to wait for a new generation from the database.
    pub generation_timeout: Duration,
    /// After a failure, calls answer "unavailable" at once for this long, then Redis is tried again.
    pub retry_after: Duration,
    /// Whether all keys are on one node.
    pub placement: Placement,
}

impl LeaseConfig {
    /// The defaults: leases of 2 s; a call takes at most 150 ms (50 to connect, 100 to answer).
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            key_prefix: "oms:".to_owned(),
            ttl: Duration::from_secs(2),
            connect_timeout: Duration::from_millis(50),
            command_timeout: Duration::from_millis(100),
            generation_timeout: Duration::from_secs(1),
            retry_after: Duration::from_millis(250),
            placement: Placement::OneNode,
        }
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.key_prefix.contains(['{', '}']) {
            return Err(ConfigError::PrefixWithBraces(self.key_prefix.clone()));
        }
        // A lease is used for two thirds of its life, counted from before it was asked for.
        if self.ttl < self.command_timeout * 3 || self.ttl.as_millis() == 0 {
            return Err(ConfigError::TtlTooShort {
                ttl: self.ttl,
                least: self.command_timeout * 3,
            });
        }
        Ok(())
    }
}

/// Where the keys of different names are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// On one node: several names are taken by one script, all at once.
    OneNode,
    /// On many nodes, as in a Redis Cluster: names are taken one by one in sorted order and all
    /// given back at the first refusal. The keys of one name share a hash tag.
    ManyNodes,
}

/// A configuration that cannot work.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The address is none of a Redis, or of a kind that is not supported.
    #[error("redis url: {0} (supported: redis://host:port; Sentinel and Cluster are not yet)")]
    Url(String),
    /// Braces mark what decides the node of a key.
    #[error("key prefix {0:?} must not contain braces")]
    PrefixWithBraces(String),
    /// A lease would be too old to use when it arrives.
    #[error(
        "lease time to live {ttl:?} must be at least {least:?}, three times the command timeout"
    )]
    TtlTooShort {
        /// As configured.
        ttl: Duration,
        /// The least that works.
        least: Duration,
    },
}
