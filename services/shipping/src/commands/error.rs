//! How commands fail, in the words of shipping. The API maps each to its code and reason.

use oms_core::Violations;
use oms_print::code128;
use oms_service::PeerError;

use crate::domain::rates::ServiceLevel;
use crate::domain::shipment::Illegal;
use crate::store::StoreError;

/// Failure of a command.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The id asked for does not exist.
    #[error("{resource} {id} not found")]
    NotFound {
        /// Kind of the resource.
        resource: &'static str,
        /// Its id.
        id: String,
    },
    /// The caller read another version.
    #[error("the version is {present} now")]
    EtagMismatch {
        /// Version now.
        present: i64,
    },
    /// The state does not allow it.
    #[error("{}", .0.reason)]
    Illegal(Box<Illegal>),
    /// The request is wrong.
    #[error("{0}")]
    Invalid(Violations),
    /// Goods were not packed by scan.
    #[error("the pack session is not closed")]
    NotPacked {
        /// Pack session that is not known as closed.
        pack_session_id: String,
    },
    /// More would travel than was packed.
    #[error("{requested} units were asked for, {open} were packed")]
    ExceedsPacked {
        /// Order line.
        order_line_id: String,
        /// Units packed.
        open: i64,
        /// Units asked for.
        requested: i64,
    },
    /// The id or the pack session has a shipment already.
    #[error("{resource} {id} exists")]
    AlreadyExists {
        /// What is taken.
        resource: &'static str,
        /// Its id.
        id: String,
    },
    /// No service is fast enough, or the named one does not serve the way.
    #[error("no carrier service fits")]
    NoCarrierService {
        /// Level that was wished for.
        level: ServiceLevel,
        /// Service that was named; empty when none was.
        named: String,
    },
    /// A peer did not answer as hoped.
    #[error("{peer}: {error}")]
    Peer {
        /// Name of the peer.
        peer: &'static str,
        /// What it answered.
        error: PeerError,
    },
    /// A tracking number cannot be printed as a symbol.
    #[error(transparent)]
    Barcode(#[from] code128::Error),
    /// Something that cannot be happened.
    #[error("{0}")]
    Defect(&'static str),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Error {
    /// NOT_FOUND for an id.
    pub(crate) fn not_found(resource: &'static str, id: impl std::fmt::Display) -> Self {
        Self::NotFound {
            resource,
            id: id.to_string(),
        }
    }

    /// One field refers to something that does not exist.
    pub(crate) fn reference(field: &str, message: &str) -> Self {
        let mut violations = Violations::default();
        violations.push(field, "REFERENCE_UNKNOWN", message);
        Self::Invalid(violations)
    }

    /// A defect of ours.
    pub(crate) fn defect(message: &'static str) -> Self {
        Self::Defect(message)
    }

    /// Whether the same may go well later.
    pub(crate) fn is_retryable(&self) -> bool {
        match self {
            Self::Peer { error, .. } => error.retryable(),
            Self::Store(StoreError::Database(_)) => true,
            _ => false,
        }
    }
}

impl From<Illegal> for Error {
    fn from(illegal: Illegal) -> Self {
        Self::Illegal(Box::new(illegal))
    }
}

impl From<oms_postgres::Error> for Error {
    fn from(error: oms_postgres::Error) -> Self {
        Self::Store(error.into())
    }
}
