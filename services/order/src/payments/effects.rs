//! Runs effects: planned, sent once, settled once.

use std::time::Duration;

use oms_core::{Money, OrderId, PaymentId, derive};
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use time::OffsetDateTime;
use tracing::Instrument;

use super::gate::Place;
use super::{ProviderRequest, Unanswered, renewal};
use crate::changes::{self, Change, Event, Locked};
use crate::ctx::{Ctx, SERVICE_ACTOR};
use crate::domain::order::Order;
use crate::domain::payment::{Answer, Payment, PaymentKind, PaymentState};
use crate::error::Error;
use crate::store::effects::{self, EffectState};
use crate::store::{StoreError, orders, payments};

/// Where a payment's money comes from or goes to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source<'a> {
    /// The order's tender with this number: of an authorization, or of a capture that has none.
    Tender(i32),
    /// The authorization of a capture or void, the capture of a refund.
    Payment(&'a Payment),
}

impl<'a> From<&'a Payment> for Source<'a> {
    fn from(parent: &'a Payment) -> Self {
        Self::Payment(parent)
    }
}

/// A payment to be made.
#[derive(Debug, Clone)]
pub(crate) struct NewPayment<'a> {
    /// Kind.
    pub(crate) kind: PaymentKind,
    /// Minor units, above zero.
    pub(crate) amount: i64,
    /// Tender, authorization or capture that it is of.
    pub(crate) source: Source<'a>,
    /// What causes it; one payment per order, kind and cause.
    pub(crate) cause: &'a str,
    /// Who causes it.
    pub(crate) actor: &'a str,
    /// True when this transaction's caller sends it right after the commit: saves a commit.
    pub(crate) send_now: bool,
}

/// What running an effect came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ran {
    /// The provider's answer; to be written by [`record`].
    Answered(Answer),
    /// It was settled before.
    Settled,
    /// It is not known what the provider did. Run it again later.
    InDoubt(String),
    /// The provider has enough to do, or is left alone for a moment; why. Run it again later.
    NotAsked(String),
}

/// What is known of a payment that is not to be sent any more.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Found {
    /// Its answer is written down.
    Settled,
    /// The provider's answer; to be written by [`record`].
    Answer(Answer),
    /// It was never sent.
    NeverSent,
    /// It was sent, and the provider has not seen it: it may still be under way.
    NotSeen {
        /// When it was sent or looked into last.
        since: OffsetDateTime,
    },
    /// The provider does not tell.
    Unknown(String),
}

/// Finds out what became of a payment, without sending it.
async fn find_out(ctx: &Ctx, payment: &Payment) -> Result<Found, Error> {
    let state = {
        let mut conn = ctx.db.read().await?;
        effects::state(&mut conn, payment.payment_id).await?
    };
    match state {
        None | Some(EffectState::Planned) => return Ok(Found::NeverSent),
        Some(EffectState::Confirmed | EffectState::Failed) => return Ok(Found::Settled),
        Some(EffectState::Sent | EffectState::InDoubt) => {}
    }
    let Some(provider) = ctx.providers.get(&payment.provider) else {
        return Ok(Found::Unknown(format!("no provider {}", payment.provider)));
    };
    let mut place = match provider.enter().await {
        Ok(place) => place,
        Err(why) => return Ok(Found::Unknown(why)),
    };
    let request = request(ctx, payment).await?;
    let lookup = place.provider().lookup(payment.kind, &request);
    Ok(match place.ask(lookup).await {
        Ok(Some(answer)) => Found::Answer(answer),
        Ok(None) => Found::NotSeen {
            since: payment.updated_at,
        },
        Err(unanswered) => Found::Unknown(unanswered.to_string()),
    })
}

/// Makes sure that an authorization which the provider has not seen never comes true; `Some` says why that
/// is not known.
async fn abandon(ctx: &Ctx, payment: &Payment) -> Result<Option<String>, Error> {
    let Some(provider) = ctx.providers.get(&payment.provider) else {
        return Ok(Some(format!("no provider {}", payment.provider)));
    };
    let mut place = match provider.enter().await {
        Ok(place) => place,
        Err(why) => return Ok(Some(why)),
    };
    let request = request(ctx, payment).await?;
    let abandon = place.provider().abandon(&request);
    let abandoned = place.ask(abandon).await;
    Ok(abandoned.err().map(|unanswered| unanswered.to_string()))
}

/// Settles an authorization that nobody wants any more, whether it has happened or not, without ever sending it. `Some` says
/// why it is not known yet whether it has.
pub(crate) async fn settle_unwanted(ctx: &Ctx, payment: &Payment) -> Result<Option<String>, Error> {
    let code = match find_out(ctx, payment).await? {
        Found::Settled => return Ok(None),
        Found::Answer(answer) => {
            write(ctx, payment, &answer, SERVICE_ACTOR).await?;
            return Ok(None);
        }
        Found::NeverSent => "not_sent",
        Found::NotSeen { since } => {
            // The call may still be under way; after this time it is not.
            let patience = i64::try_from(ctx.config.payments.reconcile_after_ms);
            let patience = time::Duration::milliseconds(patience.unwrap_or(i64::MAX));
            if ctx.now() - since < patience {
                return Ok(Some("the authorization is in doubt".to_owned()));
            }
            "never_arrived"
        }
        Found::Unknown(detail) => return Ok(Some(detail)),
    };
    // The reconciler of earlier versions made PLANNED of what had been sent.
    if let Some(doubt) = abandon(ctx, payment).await? {
        return Ok(Some(doubt));
    }
    let answer = Answer::Declined {
        code: code.to_owned(),
    };
    write(ctx, payment, &answer, SERVICE_ACTOR).await?;
    Ok(None)
}

/// Id of the payment of an order, kind and cause.
pub(crate) fn payment_id(order_id: OrderId, kind: PaymentKind, cause: &str) -> PaymentId {
    let name = format!("payment/{}/{cause}", kind.as_str());
    PaymentId::new(derive(order_id.uuid(), &name))
}

/// Writes a payment and its effect, or answers the one that is there for the same kind and cause; true when
/// it is new. The caller holds the lock of the order.
pub(crate) async fn plan(
    conn: &mut PgConnection,
    ctx: &Ctx,
    order: &Order,
    new: &NewPayment<'_>,
) -> Result<(Payment, bool), StoreError> {
    let now = ctx.now();
    let state = if new.send_now {
        (PaymentState::Pending, EffectState::Sent)
    } else {
        (PaymentState::Initiated, EffectState::Planned)
    };
    let (tender, provider, parent) = match new.source {
        Source::Tender(number) => {
            let tender = order.tender(number);
            let provider = tender.map(|tender| tender.provider.clone());
            (number, provider.unwrap_or_default(), None)
        }
        Source::Payment(of) => (of.tender, of.provider.clone(), Some(of.payment_id)),
    };
    let payment = Payment {
        payment_id: payment_id(order.order_id, new.kind, new.cause),
        order_id: order.order_id,
        kind: new.kind,
        state: state.0,
        amount: new.amount,
        currency: order.currency,
        tender,
        provider,
        provider_reference: String::new(),
        parent_payment_id: parent,
        cause: new.cause.to_owned(),
        failure_code: String::new(),
        expires_at: None,
        actor: new.actor.to_owned(),
        created_at: now,
        updated_at: now,
    };
    if payments::insert(conn, &payment).await? {
        effects::insert(conn, &payment, request_hash(&payment, order), state.1).await?;
        return Ok((payment, true));
    }
    let found = payments::find(conn, order.order_id, new.kind, new.cause).await?;
    // A conflict on (order, kind, cause) means that the row is there.
    let found =
        found.ok_or_else(|| StoreError::inconsistent("payments", "cause", payment.payment_id))?;
    Ok((found, false))
}

fn request_hash(payment: &Payment, order: &Order) -> [u8; 32] {
    let parent = payment
        .parent_payment_id
        .map(|parent| parent.to_string())
        .unwrap_or_default();
    let token = order.tender(payment.tender).map(|tender| &tender.token);
    let text = format!(
        "{}|{}|{}|{}|{parent}",
        payment.kind.as_str(),
        payment.amount,
        payment.currency,
        token.map_or("", String::as_str),
    );
    Sha256::digest(text).into()
}

/// Brings a planned payment to the provider and answers what it said. Calls the provider outside of any
/// transaction; safe to repeat and to run twice at once.
///
/// `fresh` says that this caller planned the payment with `send_now` and nobody else can have sent it.
pub(crate) async fn run(ctx: &Ctx, payment: &Payment, fresh: bool) -> Result<Ran, Error> {
    let span = tracing::info_span!(
        "payment_effect",
        otel.name = format_args!("payment.{}", payment.kind.action()),
        oms.order.id = %payment.order_id,
        oms.payment.id = %payment.payment_id,
        otel.status_code = tracing::field::Empty,
    );
    run_in_span(ctx, payment, fresh).instrument(span).await
}

async fn run_in_span(ctx: &Ctx, payment: &Payment, fresh: bool) -> Result<Ran, Error> {
    let Some(provider) = ctx.providers.get(&payment.provider) else {
        return Ok(Ran::Answered(Answer::Declined {
            code: "provider_unknown".to_owned(),
        }));
    };
    let mut place = match provider.enter().await {
        Ok(place) => place,
        // Nothing was sent by this run, so nothing is written: the effect is what it was.
        Err(why) => return Ok(Ran::NotAsked(why)),
    };
    if !fresh && let Some(ran) = look_before_sending(ctx, payment, &mut place).await? {
        return Ok(ran);
    }
    let request = request(ctx, payment).await?;
    let provider = place.provider();
    let call = async {
        match payment.kind {
            PaymentKind::Authorization => provider.authorize(&request).await,
            PaymentKind::Capture => provider.capture(&request).await,
            PaymentKind::Void => provider.void(&request).await,
            PaymentKind::Refund => provider.refund(&request).await,
        }
    };
    let patience = Duration::from_millis(ctx.config.payments.timeout_ms);
    let call = async {
        let answer = tokio::time::timeout(patience, call).await;
        answer.unwrap_or_else(|_| {
            Err(Unanswered {
                provider: provider.name(),
                detail: format!("nothing within {} ms", patience.as_millis()),
                is_silent: true,
            })
        })
    };
    ctx.failpoint(payment.kind.action(), "sent");
    let answer = place.ask(call).await;
    ctx.failpoint(payment.kind.action(), "answered");
    drop(place);
    match answer {
        Ok(answer) => Ok(Ran::Answered(answer)),
        Err(unanswered) => doubt(ctx, payment, &unanswered).await,
    }
}

/// Takes the right to send, or finds out what became of what was sent. `None` means: send it now.
async fn look_before_sending(
    ctx: &Ctx,
    payment: &Payment,
    place: &mut Place<'_>,
) -> Result<Option<Ran>, Error> {
    let payment_id = payment.payment_id;
    let state = {
        let mut conn = ctx.db.read().await?;
        effects::state(&mut conn, payment_id).await?
    };
    match state {
        Some(EffectState::Planned) => Ok(take(ctx, payment).await?),
        Some(EffectState::Sent | EffectState::InDoubt) => reconcile(ctx, payment, place).await,
        Some(EffectState::Confirmed | EffectState::Failed) => Ok(Some(Ran::Settled)),
        None => Err(StoreError::inconsistent("effects", "payment_id", payment_id).into()),
    }
}

/// PLANNED becomes SENT in a commit of its own; `None` when this caller has it.
async fn take(ctx: &Ctx, payment: &Payment) -> Result<Option<Ran>, Error> {
    let now = ctx.now();
    let taken = ctx
        .db
        .run_tx("send_effect", |tx| {
            Box::pin(async move { mark_sent(tx.conn(), payment, now).await })
        })
        .await?;
    Ok(ran_by_other(taken))
}

/// SENT becomes SENT again, by way of IN_DOUBT and PLANNED, as the ledger's rules ask. All in one commit: who finds it PLANNED
/// may trust that nothing was ever sent.
async fn take_again(ctx: &Ctx, payment: &Payment) -> Result<Option<Ran>, Error> {
    let now = ctx.now();
    let taken = ctx
        .db
        .run_tx("send_effect_again", |tx| {
            Box::pin(async move {
                let conn = tx.conn();
                effects::mark_in_doubt(conn, payment.payment_id, now).await?;
                effects::mark_planned_again(conn, payment.payment_id, now).await?;
                mark_sent(conn, payment, now).await
            })
        })
        .await?;
    Ok(ran_by_other(taken))
}

async fn mark_sent(
    conn: &mut PgConnection,
    payment: &Payment,
    now: OffsetDateTime,
) -> Result<bool, Error> {
    oms_telemetry::record_order_id(&tracing::Span::current(), payment.order_id);
    let taken = effects::mark_sent(conn, payment.payment_id, now).await?;
    if taken {
        let sent = Payment {
            state: PaymentState::Pending,
            updated_at: now,
            ..payment.clone()
        };
        payments::set_state(conn, &sent).await?;
    }
    Ok(taken)
}

/// Somebody else sends it at this moment: they, or the next round, write the answer.
fn ran_by_other(taken: bool) -> Option<Ran> {
    (!taken).then(|| Ran::InDoubt("being sent by another worker".to_owned()))
}

/// Asks the provider by key. What it never saw may be sent, once by whoever takes it.
async fn reconcile(
    ctx: &Ctx,
    payment: &Payment,
    place: &mut Place<'_>,
) -> Result<Option<Ran>, Error> {
    let request = request(ctx, payment).await?;
    let lookup = place.provider().lookup(payment.kind, &request);
    match place.ask(lookup).await {
        Ok(Some(answer)) => Ok(Some(Ran::Answered(answer))),
        Err(unanswered) => Ok(Some(doubt(ctx, payment, &unanswered).await?)),
        Ok(None) => take_again(ctx, payment).await,
    }
}

/// Writes that the answer is not known.
async fn doubt(ctx: &Ctx, payment: &Payment, unanswered: &Unanswered) -> Result<Ran, Error> {
    tracing::warn!(error = %unanswered, payment_id = %payment.payment_id, "payment in doubt");
    oms_telemetry::mark_failed(&tracing::Span::current(), "in doubt");
    let now = ctx.now();
    ctx.db
        .run_tx("doubt_effect", |tx| {
            Box::pin(async move {
                oms_telemetry::record_order_id(&tracing::Span::current(), payment.order_id);
                let conn = tx.conn();
                if effects::mark_in_doubt(conn, payment.payment_id, now).await? {
                    let doubtful = Payment {
                        state: PaymentState::InDoubt,
                        updated_at: now,
                        ..payment.clone()
                    };
                    payments::set_state(conn, &doubtful).await?;
                }
                Ok::<_, Error>(())
            })
        })
        .await?;
    Ok(Ran::InDoubt(unanswered.to_string()))
}

/// The token and the parent's reference are read here, so that no caller has to carry them.
pub(super) async fn request(ctx: &Ctx, payment: &Payment) -> Result<ProviderRequest, Error> {
    let mut conn = ctx.db.read().await?;
    let token = orders::token(&mut conn, payment.order_id, payment.tender).await?;
    let parent = match payment.parent_payment_id {
        Some(parent) => payments::load(&mut conn, parent).await?,
        None => None,
    };
    Ok(ProviderRequest {
        idempotency_key: effects::idempotency_key(payment.payment_id),
        amount: Money::new(payment.currency, payment.amount),
        token: token.unwrap_or_default(),
        parent_reference: parent
            .map(|parent| parent.provider_reference)
            .unwrap_or_default(),
    })
}

/// Writes a provider's answer: effect, payment, the order's sums, one event and one timeline row. Answers the
/// payment as it is now, and does nothing when it was settled before. The order is locked.
pub(crate) async fn record(
    conn: &mut PgConnection,
    ctx: &Ctx,
    order: &mut Locked,
    payment: &Payment,
    answer: &Answer,
    actor: &str,
) -> Result<Payment, Error> {
    let now = ctx.now();
    let mut settled = Payment {
        updated_at: now,
        ..payment.clone()
    };
    let effect = match answer {
        Answer::Approved {
            reference,
            expires_at,
        } => {
            settled.state = PaymentState::Succeeded;
            settled.provider_reference.clone_from(reference);
            settled.expires_at = ctx.config.payments.expiry(payment, *expires_at);
            EffectState::Confirmed
        }
        Answer::Declined { code } => {
            settled.state = PaymentState::Failed;
            settled.failure_code.clone_from(code);
            EffectState::Failed
        }
    };
    if !payments::set_state(conn, &settled).await? {
        let found = payments::load(conn, payment.payment_id).await?;
        return Ok(found.unwrap_or(settled));
    }
    let (reference, code) = (&settled.provider_reference, &settled.failure_code);
    effects::settle(conn, payment.payment_id, effect, reference, code, now).await?;
    order.money = payments::money(conn, order.order_id).await?;
    let amount = Money::new(settled.currency, settled.amount);
    let detail = match answer {
        Answer::Approved { .. } => format!("{amount} for {}", settled.cause),
        Answer::Declined { code } => format!("{amount} for {} declined: {code}", settled.cause),
    };
    let change = Change {
        actor,
        action: settled.kind.action(),
        detail,
        event: Event::PaymentSettled(settled.clone()),
    };
    order.write(conn, ctx, &change).await?;
    if let Some(end) = settled.expires_at {
        renewal::schedule(conn, ctx, &settled, end).await?;
    }
    Ok(settled)
}

/// [`record`] in a transaction of its own.
pub(crate) async fn write(
    ctx: &Ctx,
    payment: &Payment,
    answer: &Answer,
    actor: &str,
) -> Result<Payment, Error> {
    ctx.db
        .run_tx("record_payment", |tx| {
            Box::pin(async move {
                let conn = tx.conn();
                let mut order = changes::lock(conn, payment.order_id).await?;
                record(conn, ctx, &mut order, payment, answer, actor).await
            })
        })
        .await
}
