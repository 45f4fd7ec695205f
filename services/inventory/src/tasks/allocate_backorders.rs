//! Goes on with demand that waits for a SKU.

use std::sync::Arc;

use oms_core::Sku;
use oms_postgres::{Outcome, Task, TaskError};

use crate::commands;
use crate::ctx::Ctx;

use super::{actor, failure};

pub(super) async fn run(ctx: Arc<Ctx>, task: Task) -> Result<Outcome, TaskError> {
    let sku: Sku = task
        .key
        .parse()
        .map_err(|error| TaskError::Stuck(format!("{error}")))?;
    commands::allocate_backorders(&ctx, actor(&task)?, sku)
        .await
        .map_err(failure)?;
    Ok(Outcome::Done)
}
