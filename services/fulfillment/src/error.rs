//! Why a use case failed.

use std::fmt::Display;

use oms_core::{Violation, Violations};
use oms_service::PeerError;

use crate::domain::refusal::Refusal;

/// Why a command or a query failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The state of things does not allow it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Something in the request is wrong that only the data could tell.
    #[error(transparent)]
    Invalid(#[from] Violations),
    /// The id that was asked for does not exist.
    #[error("{resource} not found")]
    NotFound {
        /// What was asked for.
        resource: &'static str,
        /// Its id.
        id: String,
    },
    /// The database failed.
    #[error(transparent)]
    Database(#[from] oms_postgres::Error),
    /// A peer failed.
    #[error("{peer}: {error}")]
    Peer {
        /// Name of the peer.
        peer: &'static str,
        /// What it answered.
        error: PeerError,
    },
}

impl Error {
    /// The id that was asked for does not exist.
    pub(crate) fn not_found(resource: &'static str, id: impl Display) -> Self {
        Self::NotFound {
            resource,
            id: id.to_string(),
        }
    }

    /// A field of the request names something that does not exist.
    pub(crate) fn reference(field: impl Into<String>, what: &str) -> Self {
        let field = field.into();
        let violation = Violation {
            field,
            reason: "REFERENCE_UNKNOWN",
            message: format!("no such {what}"),
        };
        Self::Invalid(violation.into())
    }

    /// The inventory service failed.
    pub(crate) fn inventory(error: PeerError) -> Self {
        Self::Peer {
            peer: "inventory",
            error,
        }
    }

    /// The order service failed.
    pub(crate) fn order(error: PeerError) -> Self {
        Self::Peer {
            peer: "order",
            error,
        }
    }
}
