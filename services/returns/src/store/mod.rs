//! The only SQL of the service: functions whose first argument is the connection.

pub(crate) mod refunds;
pub(crate) mod returns;

/// What may go wrong between the service and its tables.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The database refused or is gone.
    #[error("database: {0}")]
    Postgres(#[from] oms_postgres::Error),
    /// A row holds what the domain does not know.
    #[error("return {id} holds an unknown {column}")]
    Inconsistent {
        /// Column that cannot be read.
        column: &'static str,
        /// Id of the return.
        id: String,
    },
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        // By way of our own error, so that the transaction learns of conflicts and runs again.
        Self::Postgres(error.into())
    }
}
