//! Why a command has no outcome.

use crate::domain::refusal::Refusal;

/// Failure of a command. Nothing of it was done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The rules say no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The request id was used before with another body.
    #[error("the request id was used before with another body")]
    RequestIdReused,
    /// Too many commands wait.
    #[error("too many commands wait")]
    Overloaded,
    /// The lanes are being stopped.
    #[error("the lanes are being stopped")]
    Stopped,
    /// The database cannot be reached.
    #[error("the database cannot be reached")]
    Unavailable,
    /// Others changed the same rows again and again.
    #[error("others changed the same rows again and again")]
    Conflict,
    /// The database cannot be reached or refused.
    #[error(transparent)]
    Store(oms_postgres::Error),
}

impl From<oms_postgres::Error> for Error {
    fn from(error: oms_postgres::Error) -> Self {
        match error {
            oms_postgres::Error::RequestIdReused => Self::RequestIdReused,
            other => Self::Store(other),
        }
    }
}
