//! Finds out what became of effects whose answer was lost, when nobody else does.
//!
//! Whoever drives a payment asks the provider itself when it runs again. The reconciler is for the rest:
//! it takes effects that were sent a while ago and are not settled, asks by key, writes the answer, and
//! lets go on what waits for it. What the provider has not seen stays in doubt, never PLANNED: it was sent, and whoever
//! drives it asks again before it is sent again, under the same key ([`super::effects::run`]).

use std::time::Duration;

use oms_core::PaymentId;
use oms_postgres::tasks;
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::effects::{self as runner};
use super::gate::Gated;
use crate::changes;
use crate::ctx::{Ctx, SERVICE_ACTOR};
use crate::domain::payment::{Answer, Payment};
use crate::domain::ruling::asked_by_task;
use crate::domain::saga::{Saga, SagaState, Step};
use crate::error::Error;
use crate::store::effects::{self, EffectState};
use crate::store::{payments, sagas, stuck_tasks, webhooks};

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
    match look_up(ctx, provider, &payment).await? {
        Ok(answer) => write(ctx, &payment, answer.as_ref()).await,
        Err(doubt) => {
            tracing::warn!(error = doubt, payment_id = %payment_id, "payment still in doubt");
            Ok(())
        }
    }
}

/// Asks a provider what became of a payment; `Err` says why that is not known.
async fn look_up(
    ctx: &Ctx,
    provider: &Gated,
    payment: &Payment,
) -> Result<Result<Option<Answer>, String>, Error> {
    let mut place = match provider.enter().await {
        Ok(place) => place,
        Err(why) => return Ok(Err(why)),
    };
    let request = runner::request(ctx, payment).await?;
    let lookup = place.provider().lookup(payment.kind, &request);
    let answer = place.ask(lookup).await;
    Ok(answer.map_err(|unanswered| unanswered.to_string()))
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
    match look_up(ctx, adapter, &payment).await? {
        Ok(Some(answer)) => {
            write(ctx, &payment, Some(&answer)).await?;
            Ok(Looked::Settled)
        }
        Ok(None) => Ok(Looked::NothingNew),
        Err(doubt) => {
            tracing::warn!(error = doubt, payment_id = %payment.payment_id, "payment still in doubt");
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

/// Writes what the provider said of a payment, and lets go on what waits for it. Where it has not seen the payment, its saga
/// is woken to bring it once more.
async fn write(ctx: &Ctx, payment: &Payment, answer: Option<&Answer>) -> Result<(), Error> {
    ctx.db
        .run_tx("reconcile_payment", |tx| {
            Box::pin(async move {
                let conn = tx.conn();
                let mut order = changes::lock(conn, payment.order_id).await?;
                if let Some(answer) = answer {
                    let actor = SERVICE_ACTOR;
                    runner::record(conn, ctx, &mut order, payment, answer, actor).await?;
                    free(conn, ctx, payment).await?;
                }
                Ok::<_, Error>(sagas::signal(conn, payment.order_id, ctx.now()).await?)
            })
        })
        .await?;
    ctx.wake_sagas();
    Ok(())
}

/// What was left to a person because nobody knew what the provider did goes on by itself now that it is known: tasks, and
/// the saga at its authorization. The order is locked.
async fn free(conn: &mut PgConnection, ctx: &Ctx, payment: &Payment) -> Result<(), Error> {
    let order_id = payment.order_id;
    let stuck = stuck_tasks::of_order(conn, order_id).await?;
    if !stuck.is_empty() {
        let ledger = payments::list(conn, order_id).await?;
        for task in stuck {
            let asked = asked_by_task(&task.kind, &task.cause, &ledger);
            if asked.iter().any(|one| one.payment_id == payment.payment_id) {
                tasks::retry(conn, task.id).await?;
            }
        }
    }
    let saga = sagas::load(conn, order_id).await?;
    let is_stuck = |saga: &Saga| saga.state == SagaState::Stuck && saga.step == Step::Authorize;
    if saga.as_ref().is_some_and(is_stuck) {
        sagas::retry_stuck(conn, order_id, ctx.now()).await?;
    }
    Ok(())
}
