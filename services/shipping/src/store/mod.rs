//! The only SQL of the service: functions whose first argument is the connection.
//!
//! A row that cannot be read as what the domain knows is a [`StoreError::Inconsistent`]: a defect, told
//! with its table and id, never a guess.

pub(crate) mod bookings;
pub(crate) mod effects;
pub(crate) mod labels;
pub(crate) mod lists;
pub(crate) mod pack_sessions;
pub(crate) mod packages;
pub(crate) mod shipments;
pub(crate) mod tracking;

/// What may go wrong between the service and its tables.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The database refused or is gone.
    #[error(transparent)]
    Database(#[from] oms_postgres::Error),
    /// A row holds what the domain does not know.
    #[error("{table} {id} holds an unknown {column}")]
    Inconsistent {
        /// Table of the row.
        table: &'static str,
        /// Column that cannot be read.
        column: &'static str,
        /// Id of the row.
        id: String,
    },
}

impl StoreError {
    /// An error about a column that cannot be read.
    pub(crate) fn inconsistent(
        table: &'static str,
        column: &'static str,
        id: impl std::fmt::Display,
    ) -> Self {
        Self::Inconsistent {
            table,
            column,
            id: id.to_string(),
        }
    }

    /// Name of the violated constraint, if one was violated.
    pub(crate) fn constraint(&self) -> Option<&str> {
        match self {
            Self::Database(error) => error.constraint(),
            Self::Inconsistent { .. } => None,
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        // By way of the plumbing's error, which tells the transaction when it is worth another try.
        Self::Database(error.into())
    }
}
