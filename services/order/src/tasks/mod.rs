//! Follow-up work that survives the process: kinds of tasks and their handlers.

pub(crate) mod backorder_short;
pub(crate) mod call_back_units;
pub(crate) mod capture_payment;
pub(crate) mod gauges;
mod hold_back;
pub(crate) mod issue_invoice;
mod late_capture;
pub(crate) mod recall_displaced;
pub(crate) mod refund_cancellation;
pub(crate) mod refund_payment;
pub(crate) mod refund_return;
mod refunds;
pub(crate) mod release_hold;
pub(crate) mod renew_authorization;
pub(crate) mod run_cancellation;
pub(crate) mod void_payment;
pub(crate) mod watch_stages;

use oms_core::OrderId;
use oms_postgres::{Task, TaskError};

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

/// The order that a task is about, which is its key; the span tells of it.
fn order_id_of(task: &Task) -> Result<OrderId, TaskError> {
    let order_id = task
        .key
        .parse::<OrderId>()
        .map_err(|error| TaskError::Stuck(error.to_string()))?;
    oms_telemetry::record_order_id(&tracing::Span::current(), order_id);
    Ok(order_id)
}
