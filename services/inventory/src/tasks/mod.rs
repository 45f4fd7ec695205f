//! Durable follow-up work: what events of other services mean for the stock, and demand that waits.

mod allocate_backorders;
mod allocate_complete;
pub(crate) mod issue_reservation;
pub(crate) mod move_returned_stock;
mod verify_ledger;

use std::sync::Arc;

use oms_core::Principal;
use oms_postgres::{RunnerConfig, Task, TaskError, TaskRunner};
use uuid::Uuid;

use crate::commands::Error;
use crate::ctx::{Call, Ctx};
use crate::domain::refusal::Refusal;
use crate::lanes::{ALLOCATE_BACKORDERS, ALLOCATE_COMPLETE};

pub(crate) use verify_ledger::{Verifications, describe_metrics};

/// Issues the units of a shipment that one reservation holds.
pub(crate) const ISSUE_RESERVATION: &str = "issue_reservation";

/// Books returned units in, or moves them on.
pub(crate) const MOVE_RETURNED_STOCK: &str = "move_returned_stock";

/// A runner with the handlers of this service.
pub(crate) fn runner(ctx: Arc<Ctx>, holder: Uuid) -> TaskRunner<Ctx> {
    TaskRunner::new(ctx.db.clone(), ctx, holder, RunnerConfig::default())
        .handle(ISSUE_RESERVATION, issue_reservation::run)
        .handle(MOVE_RETURNED_STOCK, move_returned_stock::run)
        .handle(ALLOCATE_BACKORDERS, allocate_backorders::run)
        .handle(ALLOCATE_COMPLETE, allocate_complete::run)
        .handle(verify_ledger::VERIFY_LEDGER, verify_ledger::run)
}

/// Who caused a task.
fn actor(task: &Task) -> Result<Principal, TaskError> {
    let parsed = task.actor.parse();
    parsed.map_err(|_| TaskError::Stuck(format!("{:?} is no principal", task.actor)))
}

/// The call that a task makes: the same one at every attempt.
fn call(task: &Task, method: &'static str) -> Result<Call, TaskError> {
    // The payload of a task never changes, so its id says all.
    let mut hash = [0; 32];
    hash.iter_mut()
        .zip(task.id.as_bytes())
        .for_each(|(to, from)| *to = *from);
    Ok(Call {
        principal: actor(task)?,
        method,
        request_id: task.id,
        hash,
        reason: String::new(),
    })
}

/// What the runner does about a failed command.
fn failure(error: Error) -> TaskError {
    match error {
        // The event before this one of the same return is still being worked on.
        Error::Refused(refusal @ Refusal::NotThere { .. }) => TaskError::Retry(refusal.to_string()),
        Error::Refused(refusal) => TaskError::Stuck(refusal.to_string()),
        Error::RequestIdReused => TaskError::Stuck("the task was used for another call".to_owned()),
        Error::Store(error) => error.into(),
        error @ (Error::Overloaded | Error::Stopped | Error::Conflict | Error::Unavailable) => {
            TaskError::Retry(error.to_string())
        }
    }
}
