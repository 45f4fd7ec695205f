//! What may go wrong in commands, in the words of the domain. `api::error` makes statuses of it.

use oms_core::{OrderLineId, ReturnId};

use crate::domain::returns::Refusal;
use crate::store::StoreError;

/// Why a command is refused or failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The database refused or is gone.
    #[error("database: {0}")]
    Postgres(oms_postgres::Error),
    /// A row makes no sense.
    #[error("{0}")]
    Inconsistent(String),
    /// No such return.
    #[error("return not found")]
    NotFound(ReturnId),
    /// The caller read another version than the present one.
    #[error("etag mismatch")]
    EtagMismatch(i64),
    /// The rules refuse it.
    #[error("refused: {0:?}")]
    Refused(Refusal),
    /// The order does not exist.
    #[error("order not found")]
    OrderUnknown,
    /// The order has no such lines; their places in the request.
    #[error("order line not found")]
    OrderLinesUnknown(Vec<usize>),
    /// More units than can be returned; a line each.
    #[error("not returnable")]
    NotReturnable(Vec<NotReturnable>),
    /// A peer refused or does not answer.
    #[error("{peer}: {error}")]
    Peer {
        /// Name of the peer.
        peer: &'static str,
        /// What it said.
        error: oms_service::PeerError,
    },
}

/// A line of which more was asked for than can be returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotReturnable {
    /// Place in the request.
    pub(crate) index: usize,
    /// Order line.
    pub(crate) order_line_id: OrderLineId,
    /// Units that can be returned.
    pub(crate) returnable: i64,
}

impl From<oms_postgres::Error> for Error {
    fn from(error: oms_postgres::Error) -> Self {
        Self::Postgres(error)
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Postgres(error) => Self::Postgres(error),
            inconsistent @ StoreError::Inconsistent { .. } => {
                Self::Inconsistent(inconsistent.to_string())
            }
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}
