//! What can go wrong in the database, in the words its callers need.

use crate::scope;

/// Failure of a database operation.
///
/// `Display` is fit for a client: it never holds SQL, values or messages of the driver. The cause
/// is in `source()` and belongs into the log only.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The transaction met another one (serialization failure, deadlock, the same request id at
    /// the same time). [`Db::run_tx`](crate::Db::run_tx) has already tried again.
    #[error("the transaction met another one, try again (SQLSTATE {code})")]
    Transient {
        /// SQLSTATE of the failure.
        code: String,
    },
    /// The database cannot be reached, is shutting down, or gave no connection or lock in time.
    #[error("the database is not available")]
    Unavailable {
        /// What the driver said.
        #[source]
        source: sqlx::Error,
    },
    /// The request id was used before with another body.
    #[error("the request id was used before with another body")]
    RequestIdReused,
    /// A task ran past its lease and another worker has it now: roll back and drop the result.
    #[error("the lease was lost to another worker")]
    LeaseLost,
    /// The feed keeps positions `first_pos..=head_pos` only, and another one was asked for.
    #[error("the feed keeps positions {first_pos} to {head_pos} only")]
    FeedPositionGone {
        /// Lowest position kept.
        first_pos: i64,
        /// Highest position given.
        head_pos: i64,
    },
    /// A connection was asked for inside of a transaction of the same task. That would starve the
    /// pool under load, so it is refused always: use the connection of the transaction.
    #[error("a connection was asked for inside of a transaction")]
    Nested,
    /// The address of the database cannot be used.
    #[error("the database address cannot be used")]
    Config {
        /// What the driver said.
        #[source]
        source: sqlx::Error,
    },
    /// Everything else: a violated constraint, a defect in a statement, an unexpected row.
    #[error("the database refused a statement")]
    Database {
        /// What the driver said.
        #[source]
        source: sqlx::Error,
    },
}

/// The kinds of [`Error`], for mapping to a status without matching on its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// See [`Error::Transient`].
    Transient,
    /// See [`Error::Unavailable`].
    Unavailable,
    /// See [`Error::RequestIdReused`].
    RequestIdReused,
    /// See [`Error::LeaseLost`].
    LeaseLost,
    /// See [`Error::FeedPositionGone`].
    FeedPositionGone,
    /// See [`Error::Nested`], [`Error::Config`] and [`Error::Database`].
    Database,
}

impl Error {
    /// A conflict that no statement reported; noted for `run_tx` as if one had.
    pub(crate) fn transient(code: &str) -> Self {
        let error = Self::Transient {
            code: code.to_owned(),
        };
        scope::note_error(&error);
        error
    }

    /// Name of the violated constraint, if one was violated.
    pub fn constraint(&self) -> Option<&str> {
        match self {
            Self::Database { source } => source.as_database_error()?.constraint(),
            _ => None,
        }
    }

    /// The kind, for mapping to a status.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Transient { .. } => ErrorKind::Transient,
            Self::Unavailable { .. } => ErrorKind::Unavailable,
            Self::RequestIdReused => ErrorKind::RequestIdReused,
            Self::LeaseLost => ErrorKind::LeaseLost,
            Self::FeedPositionGone { .. } => ErrorKind::FeedPositionGone,
            Self::Nested | Self::Config { .. } | Self::Database { .. } => ErrorKind::Database,
        }
    }

    /// SQLSTATE, if the server gave one.
    pub fn code(&self) -> Option<String> {
        match self {
            Self::Transient { code } => Some(code.clone()),
            Self::Unavailable { source } | Self::Database { source } | Self::Config { source } => {
                Some(source.as_database_error()?.code()?.into_owned())
            }
            Self::RequestIdReused
            | Self::LeaseLost
            | Self::FeedPositionGone { .. }
            | Self::Nested => None,
        }
    }
}

impl From<sqlx::Error> for Error {
    /// Classifies, and tells the surrounding `run_tx` so that it tries again where that helps,
    /// whatever the error becomes on its way up.
    fn from(source: sqlx::Error) -> Self {
        let error = classify(source);
        scope::note_error(&error);
        error
    }
}

fn classify(source: sqlx::Error) -> Error {
    match &source {
        sqlx::Error::Database(database) => {
            let code = database.code().unwrap_or_default().into_owned();
            if is_transient(&code) {
                return Error::Transient { code };
            }
            if is_unavailable(&code) {
                return Error::Unavailable { source };
            }
            Error::Database { source }
        }
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => Error::Unavailable { source },
        sqlx::Error::Configuration(_) => Error::Config { source },
        _ => Error::Database { source },
    }
}

/// Serialization failure and deadlock.
fn is_transient(code: &str) -> bool {
    matches!(code, "40001" | "40P01")
}

/// Connection trouble (08), too few resources (53), shutdown and start-up (57P), statement and
/// lock timeouts, a server that became read-only in a failover.
fn is_unavailable(code: &str) -> bool {
    code.starts_with("08")
        || code.starts_with("53")
        || code.starts_with("57P")
        || matches!(code, "57014" | "55P03" | "25006" | "25P03")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_pool_and_a_timeout_are_unavailable() {
        for source in [sqlx::Error::PoolClosed, sqlx::Error::PoolTimedOut] {
            assert_eq!(Error::from(source).kind(), ErrorKind::Unavailable);
        }
        assert!(is_unavailable("57P01") && is_unavailable("55P03") && !is_unavailable("23505"));
    }

    #[test]
    fn conflicts_are_transient_and_violated_constraints_are_not() {
        assert!(is_transient("40001") && is_transient("40P01") && !is_transient("23505"));
    }
}
