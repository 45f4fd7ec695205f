//! Decides a parked step in place of whoever cannot answer.

use uuid::Uuid;

use super::rule_exception::{RuleException, rule_exception};
use crate::ctx::{Caller, Ctx};
use crate::domain::ruling::Ruling;
use crate::error::Error;

/// A decision.
#[derive(Debug)]
pub(crate) struct OverrideException {
    /// Id of the order whose saga is stuck.
    pub(crate) exception_id: Uuid,
    /// What is decided; not [`Ruling::Skip`].
    pub(crate) ruling: Ruling,
    /// Why, for the timeline.
    pub(crate) note: String,
}

/// Moves a stuck saga to where the decision leads. Tasks have no result that could be decided: they are retried or
/// skipped.
pub(crate) async fn override_exception(
    ctx: &Ctx,
    caller: &Caller,
    command: &OverrideException,
) -> Result<(), Error> {
    let rule = RuleException {
        method: "OverrideException",
        action: "override_exception",
        exception_id: command.exception_id,
        ruling: command.ruling,
        note: &command.note,
    };
    ctx.db
        .run_tx("override_exception", |tx| {
            Box::pin(async move { rule_exception(ctx, tx.conn(), caller, rule).await })
        })
        .await?;
    ctx.wake_sagas();
    Ok(())
}
