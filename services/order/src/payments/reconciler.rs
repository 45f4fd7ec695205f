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
use crate::error::Error;
use crate::store::{effects, payments, sagas};

/// Effects that one round takes.
const BATCH: i64 = 50;

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
    let key = effects::idempotency_key(payment_id);
    let answer = match provider.lookup(&key).await {
        Ok(answer) => answer,
        Err(unanswered) => {
            tracing::warn!(error = %unanswered, payment_id = %payment_id, "payment still in doubt");
            return Ok(());
        }
    };
    let (payment, answer) = (&payment, &answer);
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
