//! The only SQL of the service: functions whose first argument is the connection.

pub(crate) mod returns;

/// What may go wrong between the service and its tables.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The database refused or is gone.
    #[error("database")]
    Database(#[from] sqlx::Error),
    /// A row holds what the domain does not know.
    #[error("return {id} holds an unknown {column}")]
    Inconsistent {
        /// Column that cannot be read.
        column: &'static str,
        /// Id of the return.
        id: String,
    },
}
