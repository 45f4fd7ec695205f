//! Gives parked work up: a person answers for what it leaves undone.

use uuid::Uuid;

use super::rule_exception::{RuleException, rule_exception};
use crate::ctx::{Caller, Ctx};
use crate::domain::ruling::Ruling;
use crate::error::Error;

/// A request to give up.
#[derive(Debug)]
pub(crate) struct SkipException {
    /// Id of the stuck task, or of the order whose saga is stuck.
    pub(crate) exception_id: Uuid,
    /// Why, for the timeline.
    pub(crate) note: String,
}

/// Gives a stuck task up, or takes a stuck undo as done; neither while nobody knows what a provider did of its payment.
pub(crate) async fn skip_exception(
    ctx: &Ctx,
    caller: &Caller,
    command: &SkipException,
) -> Result<(), Error> {
    let rule = RuleException {
        method: "SkipException",
        action: "skip_exception",
        exception_id: command.exception_id,
        ruling: Ruling::Skip,
        payment_id: None,
        provider_reference: "",
        note: &command.note,
    };
    ctx.db
        .run_tx("skip_exception", |tx| {
            Box::pin(async move { rule_exception(ctx, tx.conn(), caller, rule).await })
        })
        .await?;
    ctx.wake_sagas();
    Ok(())
}
