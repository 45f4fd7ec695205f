//! Finds out what became of effects whose answer was lost, when nobody else does.
//!
//! Whoever drives a payment asks the provider itself when it runs again. The reconciler is for the rest:
//! it takes effects that were sent a while ago and are not settled, asks by key, writes the answer, and
//! wakes the saga. What the provider never saw goes back to PLANNED for its driver to send.

use std::time::Duration;

use oms_core::PaymentId;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::effects::{self as runner};
use crate::changes;
use crate::ctx::{Ctx, SERVICE_ACTOR};
use crate::domain::payment::{Answer, Payment};
use crate::error::Error;
use crate::store::effects::{self, EffectState};
use crate::store::{payments, sagas, webhooks};

/// Effects that one round takes.
const BATCH: i64 = 50;
/// Age at which a webhook is forgotten: providers deliver again for days.
const WEBHOOK_KEPT: time::Duration = time::Duration::days(30);
/// Webhooks that one round forgets.
const FORGET_BATCH: i64 = 500;

/// Runs until canceled, with a pause between two rounds.
pub(crate) async fn run(ctx: &Ctx, pause: Duration, cancel: &CancellationToken) {
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        if let Err(error) = sweep(ctx).await {
            tracing::warn!(error = %error, "reconciling payments failed");
        }
    }
}

/// One round; answers how many effects it looked at.
pub(crate) async fn sweep(ctx: &Ctx) -> Result<usize, Error> {
    let now = ctx.now();
    let sent_before = now
        - time::Duration::milliseconds(
            i64::try_from(ctx.config.payments.reconcile_after_ms).unwrap_or(i64::MAX),
        );
    let due = ctx
        .db
        .run_tx("claim_unsettled_effects", |tx| {
            Box::pin(async move {
                webhooks::forget(tx.conn(), now - WEBHOOK_KEPT, FORGET_BATCH).await?;
                Ok::<_, Error>(effects::claim_unsettled(tx.conn(), sent_before, now, BATCH).await?)
            })
        })
        .await?;
    for payment_id in &due {
        let span = tracing::info_span!(
            "reconcile_payment",
            oms.payment.id = %payment_id,
            oms.order.id = tracing::field::Empty,
        );
        if let Err(error) = reconcile(ctx, *payment_id).instrument(span).await {
            tracing::warn!(error = %error, payment_id = %payment_id, "payment still in doubt");
        }
    }
    Ok(due.len())
}

async fn reconcile(ctx: &Ctx, payment_id: PaymentId) -> Result<(), Error> {
    let found = {
        let mut conn = ctx.db.read().await?;
        payments::load(&mut conn, payment_id).await?
    };
    let Some(payment) = found else {
        return Ok(());
    };
    oms_telemetry::record_order_id(&tracing::Span::current(), payment.order_id);
    let Some(provider) = ctx.providers.get(&payment.provider) else {
        return Ok(());
    };
    let request = runner::request(ctx, &payment).await?;
    let answer = match provider.lookup(payment.kind, &request).await {
        Ok(answer) => answer,
        Err(unanswered) => {
            tracing::warn!(error = %unanswered, payment_id = %payment_id, "payment still in doubt");
            return Ok(());
        }
    };
    write(ctx, &payment, answer.as_ref()).await
}

/// What looking into an effect came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Looked {
    /// The answer is written now.
    Settled,
    /// No answer is wanted, or the provider has none.
    NothingNew,
    /// The provider did not answer.
    Unanswered,
}

/// Asks a provider now about the effect with this key, because the provider hinted at it. Only what was sent and is not settled is asked about, and only an answer is written: that the
/// provider knows nothing of it is no news, as the call may still be under way.
pub(super) async fn look_into(ctx: &Ctx, provider: &str, key: &str) -> Result<Looked, Error> {
    let Some(payment) = hinted(ctx, provider, key).await? else {
        return Ok(Looked::NothingNew);
    };
    let Some(adapter) = ctx.providers.get(provider) else {
        return Ok(Looked::NothingNew);
    };
    let request = runner::request(ctx, &payment).await?;
    match adapter.lookup(payment.kind, &request).await {
        Ok(Some(answer)) => {
            write(ctx, &payment, Some(&answer)).await?;
            Ok(Looked::Settled)
        }
        Ok(None) => Ok(Looked::NothingNew),
        Err(unanswered) => {
            tracing::warn!(error = %unanswered, payment_id = %payment.payment_id, "payment still in doubt");
            Ok(Looked::Unanswered)
        }
    }
}

/// The payment behind a key of this provider, if its answer is still wanted.
async fn hinted(ctx: &Ctx, provider: &str, key: &str) -> Result<Option<Payment>, Error> {
    let Ok(payment_id) = key.parse::<PaymentId>() else {
        return Ok(None);
    };
    let mut conn = ctx.db.snapshot().await?;
    let state = effects::state(&mut conn, payment_id).await?;
    if !matches!(state, Some(EffectState::Sent | EffectState::InDoubt)) {
        return Ok(None);
    }
    let payment = payments::load(&mut conn, payment_id).await?;
    Ok(payment.filter(|payment| payment.provider == provider))
}

/// Writes what the provider said of a payment, or that it has never seen it, and wakes the saga.
async fn write(ctx: &Ctx, payment: &Payment, answer: Option<&Answer>) -> Result<(), Error> {
    ctx.db
        .run_tx("reconcile_payment", |tx| {
            Box::pin(async move {
                let conn = tx.conn();
                let mut order = changes::lock(conn, payment.order_id).await?;
                match answer {
                    Some(answer) => {
                        runner::record(conn, ctx, &mut order, payment, answer, SERVICE_ACTOR)
                            .await?;
                    }
                    None => {
                        effects::mark_planned_again(conn, payment.payment_id, ctx.now()).await?;
                    }
                }
                Ok::<_, Error>(sagas::signal(conn, payment.order_id, ctx.now()).await?)
            })
        })
        .await?;
    ctx.wake_sagas();
    Ok(())
}
