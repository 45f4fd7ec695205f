//! Follow-up work that survives the process: kinds of tasks and their handlers.

pub(crate) mod release_hold;

use oms_postgres::TaskError;

use crate::error::Error;
use crate::store::StoreError;

/// What a failed command means for the task that ran it: refusals are left to a person, the rest is tried
/// again.
pub(crate) fn task_error(error: Error) -> TaskError {
    match error {
        Error::Store(StoreError::Database(error)) => error.into(),
        Error::Peer { source, .. } => source.into(),
        other => TaskError::Stuck(other.to_string()),
    }
}
