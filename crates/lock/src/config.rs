use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::address;

/// Where Redis is and how long anything may take.
#[derive(Clone)]
pub struct LeaseConfig {
    /// Address. Never shown by `Debug`. One of
    /// - one Redis: `redis://[user:password@]host[:port][/database]`, or `rediss://..` over TLS
    /// - the leader that Sentinels know as `service`:
    ///   `redis+sentinel://[user:password@]host[:port][,host[:port]..]/service[/database]`, with the
    ///   hosts of the Sentinels, and user and password of the leader. Those of the Sentinels, if they
    ///   have any: `?sentinel_username=..&sentinel_password=..`
    /// - a Cluster, by some of its nodes: `redis+cluster://[user:password@]host[:port][,host[:port]..]`
    ///
    /// What is special in an address (such as `@` or `/` in a password) is percent-encoded.
    pub url: String,
    /// Certificates (PEM) that the server of a `rediss://` address is checked against; those of the system when `None`. Read once.
    pub ca_file: Option<PathBuf>,
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
    /// How long a name counts as waited for after its lease was refused to somebody; longer than
    /// between two tries.
    pub waiting_ttl: Duration,
}

impl LeaseConfig {
    /// The defaults: leases of 2 s; a call takes at most 150 ms (50 to connect, 100 to answer).
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            ca_file: None,
            key_prefix: "oms:".to_owned(),
            ttl: Duration::from_secs(2),
            connect_timeout: Duration::from_millis(50),
            command_timeout: Duration::from_millis(100),
            generation_timeout: Duration::from_secs(1),
            retry_after: Duration::from_millis(250),
            waiting_ttl: Duration::from_millis(50),
        }
    }

    /// Checks everything that can be checked without asking Redis.
    pub fn check(&self) -> Result<(), ConfigError> {
        address::parse(&self.url)?;
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

impl LeaseConfig {
    /// Checks that the file with certificates can be read, which [`LeaseConfig::check`] does not look at.
    pub fn check_files(&self) -> Result<(), ConfigError> {
        self.roots().map(drop)
    }

    /// What the server's certificate is checked against, if not the roots of the system.
    pub(crate) fn roots(&self) -> Result<Option<Vec<u8>>, ConfigError> {
        let read = |path: &PathBuf| {
            std::fs::read(path).map_err(|cause| ConfigError::Roots {
                file: path.clone(),
                cause,
            })
        };
        self.ca_file.as_ref().map(read).transpose()
    }
}

impl fmt::Debug for LeaseConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaseConfig")
            .field("url", &"[redacted]")
            .field("ca_file", &self.ca_file)
            .field("key_prefix", &self.key_prefix)
            .field("ttl", &self.ttl)
            .field("connect_timeout", &self.connect_timeout)
            .field("command_timeout", &self.command_timeout)
            .field("generation_timeout", &self.generation_timeout)
            .field("retry_after", &self.retry_after)
            .field("waiting_ttl", &self.waiting_ttl)
            .finish()
    }
}

/// A configuration that cannot work.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file with certificates cannot be read.
    #[error("{}: {cause}", file.display())]
    Roots {
        /// Which.
        file: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// The address is none of a Redis, or of a kind that is not supported.
    #[error(
        "redis url: {0} (redis://host:port, rediss://host:port, redis+sentinel://host:port,host:port/service or redis+cluster://host:port,host:port)"
    )]
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
