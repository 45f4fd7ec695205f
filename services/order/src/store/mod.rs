//! The only SQL of the service: functions whose first argument is the connection.
//!
//! A row that cannot be read as what the domain knows is a [`StoreError::Inconsistent`]: a defect, told
//! with its table and id, never a guess.

pub(crate) mod addresses;
pub(crate) mod channels;
pub(crate) mod holds;
pub(crate) mod lines;
pub(crate) mod lists;
pub(crate) mod orders;
pub(crate) mod timeline;

/// What may go wrong between the service and its tables.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The database refused or is gone.
    #[error("database")]
    Database(#[from] sqlx::Error),
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
        id: impl ToString,
    ) -> Self {
        Self::Inconsistent {
            table,
            column,
            id: id.to_string(),
        }
    }
}
