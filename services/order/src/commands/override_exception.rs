//! Decides a parked step in place of whoever cannot answer.

use oms_core::PaymentId;
use uuid::Uuid;

use super::rule_exception::{RuleException, rule_exception};
use crate::ctx::{Caller, Ctx};
use crate::domain::ruling::Ruling;
use crate::error::Error;

/// A decision.
#[derive(Debug)]
pub(crate) struct OverrideException {
    /// Id of the stuck task, or of the order whose saga is stuck.
    pub(crate) exception_id: Uuid,
    /// What is decided; not [`Ruling::Skip`].
    pub(crate) ruling: Ruling,
    /// The payment that a ruling of an effect is about; needed when several are in doubt.
    pub(crate) payment_id: Option<PaymentId>,
    /// The provider's reference of what it did, for [`Ruling::EffectConfirmed`]; else empty.
    pub(crate) provider_reference: String,
    /// Why, for the timeline.
    pub(crate) note: String,
}

/// Moves a stuck saga to where the decision leads. Of a task only the result of a payment can be decided, with which it goes
/// on: else tasks are retried or skipped.
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
        payment_id: command.payment_id,
        provider_reference: &command.provider_reference,
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
