//! The only SQL of the service: functions whose first argument is the connection.
//!
//! A row that cannot be read as what the domain knows is a [`StoreError::Inconsistent`]: a defect, told
//! with its table and id, never a guess.

pub(crate) mod addresses;
pub(crate) mod cancellation_plans;
pub(crate) mod cancellations;
pub(crate) mod channels;
pub(crate) mod collections;
pub(crate) mod credits;
pub(crate) mod data_keys;
pub(crate) mod effects;
pub(crate) mod fulfillment_orders;
pub(crate) mod gauges;
pub(crate) mod holds;
pub(crate) mod invoices;
pub(crate) mod lines;
pub(crate) mod lists;
pub(crate) mod order_channels;
pub(crate) mod orders;
pub(crate) mod payments;
pub(crate) mod peer_versions;
pub(crate) mod personal_texts;
pub(crate) mod releases;
pub(crate) mod reservations;
pub(crate) mod sagas;
pub(crate) mod shipments;
pub(crate) mod stages;
pub(crate) mod stuck_tasks;
pub(crate) mod timeline;
pub(crate) mod traces;
pub(crate) mod webhook_deliveries;
pub(crate) mod webhook_endpoints;
pub(crate) mod webhook_replays;
pub(crate) mod webhook_secrets;
pub(crate) mod webhooks;

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

impl From<sqlx::Error> for StoreError {
    /// Through [`oms_postgres::Error`], which tells the transaction around it whether to try again.
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

impl StoreError {
    /// The error of the database; else what is inconsistent, for the log.
    pub(crate) fn into_database(self) -> Result<oms_postgres::Error, String> {
        match self {
            Self::Database(error) => Ok(error),
            Self::Inconsistent { .. } => Err(self.to_string()),
        }
    }

    /// Name of the violated constraint, if one was violated.
    pub(crate) fn constraint(&self) -> Option<&str> {
        match self {
            Self::Database(error) => error.constraint(),
            Self::Inconsistent { .. } => None,
        }
    }

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
}
