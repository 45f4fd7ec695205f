//! Looks again at a reservation that ships complete.

use std::sync::Arc;

use oms_core::ReservationId;
use oms_postgres::{Outcome, Task, TaskError};

use crate::commands;
use crate::ctx::Ctx;

use super::{actor, failure};

/// The key is the reservation.
pub(super) async fn run(ctx: Arc<Ctx>, task: Task) -> Result<Outcome, TaskError> {
    let reservation: ReservationId = task
        .key
        .parse()
        .map_err(|error| TaskError::Stuck(format!("{error}")))?;
    commands::allocate_complete(&ctx, actor(&task)?, reservation)
        .await
        .map_err(failure)?;
    Ok(Outcome::Done)
}
