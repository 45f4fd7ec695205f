//! Authorize: sets aside what is owed for the units that are held or wait for stock, tender by tender. Undo: gives it
//! up, after finding out what became of an authorization whose answer was lost.

use sqlx::PgConnection;
use time::Duration;

use super::{Done, Failure, Record, Undone};
use crate::changes::{self, Locked};
use crate::ctx::{Ctx, SERVICE_ACTOR};
use crate::domain::order::{HoldBlock, PaymentPolicy};
use crate::domain::payment::{Answer, Payment, PaymentKind, PaymentState, open_authorizations};
use crate::domain::saga::StepResult;
use crate::domain::tender::shares;
use crate::payments::effects::{self, NewPayment, Ran, Source};
use crate::saga::run::{Lost, Run};
use crate::store::{payments, sagas};

/// Why an order is rejected when its payment is.
const DECLINED: &str = "PAYMENT_DECLINED";
/// Pause before a provider that takes no more calls is asked again.
const NOT_ASKED_PAUSE: Duration = Duration::seconds(5);

pub(super) async fn forward(ctx: &Ctx, run: &Run) -> Result<Done, Failure> {
    let order = run.order();
    let amount = order.reserved_amount();
    if order.payment_policy == PaymentPolicy::None || amount == 0 {
        return Ok(Done::pass("nothing to pay"));
    }
    let due: Vec<(i32, i64)> = (1..)
        .zip(shares(&order.tenders, amount))
        .filter(|(_, share)| *share > 0)
        .collect();
    if run.saga().reservation_attempt > 1 {
        settle_earlier(ctx, run).await?;
    }
    let mut done = Done::pass("authorized before");
    for (tender, share) in due {
        // The answer of the last tender is written with the step, those of the others before.
        if let Record::Authorized(payment, answer) = &done.record {
            write(ctx, payment, answer).await?;
        }
        // Only a saga that reserved again can have an authorization from before.
        if run.saga().reservation_attempt > 1 && earlier_suffices(ctx, run, tender, share).await? {
            done = Done::pass("authorized before");
            continue;
        }
        done = authorize(ctx, run, tender, share).await?;
        if done.result != StepResult::Done {
            return Ok(refused_in_part(run, done));
        }
    }
    Ok(done)
}

/// A refusal after other tenders may have been authorized: those are given up.
fn refused_in_part(run: &Run, done: Done) -> Done {
    match done.result {
        StepResult::Refused(reason) if run.order().tenders.len() > 1 => Done {
            result: StepResult::RefusedInPart(reason),
            ..done
        },
        _ => done,
    }
}

/// Authorizes one tender.
async fn authorize(ctx: &Ctx, run: &Run, tender: i32, amount: i64) -> Result<Done, Failure> {
    let Some((payment, fresh)) = plan(ctx, run, tender, amount).await? else {
        return Ok(Done::of(StepResult::HeldUp));
    };
    if payment.state.is_settled() {
        return Ok(settled(&payment));
    }
    match effects::run(ctx, &payment, fresh).await? {
        Ran::Answered(answer) => Ok(answered(payment, answer)),
        // Asked for again with backoff, and in the end by a person. The payment stays in doubt; the reconciler goes on looking.
        Ran::InDoubt(detail) => Err(Failure::Retry(detail)),
        // No failure of the order's: it waits, and comes again, until it expires.
        Ran::NotAsked(detail) => Ok(Done {
            note: detail,
            ..Done::wait(ctx.now() + NOT_ASKED_PAUSE)
        }),
        Ran::Settled => {
            let mut conn = ctx.db.read().await?;
            let payment = payments::load(&mut conn, payment.payment_id).await?;
            match payment {
                Some(payment) if payment.state.is_settled() => Ok(settled(&payment)),
                _ => Err(Failure::Retry(
                    "the authorization is being settled".to_owned(),
                )),
            }
        }
    }
}

/// The cause of an authorization: each reservation and each tender has its own.
fn cause(reservation_attempt: i32, tender: i32) -> String {
    let order = match reservation_attempt {
        1 => "order".to_owned(),
        _ => format!("order/{reservation_attempt}"),
    };
    match tender {
        1 => order,
        _ => format!("{order}/tender/{tender}"),
    }
}

/// Writes the authorization down, ready to be sent, unless a hold came meanwhile (`None`).
async fn plan(
    ctx: &Ctx,
    run: &Run,
    tender: i32,
    amount: i64,
) -> Result<Option<(Payment, bool)>, Failure> {
    let cause = &cause(run.saga().reservation_attempt, tender);
    let planned = ctx
        .db
        .run_tx("plan_authorization", |tx| {
            Box::pin(async move {
                let conn = tx.conn();
                let order = changes::lock(conn, run.order_id()).await?;
                let (_, cancel_requested) = still_mine(conn, run).await?;
                if order.is_blocked(HoldBlock::Confirm) || cancel_requested {
                    return Ok(None);
                }
                let new = NewPayment {
                    kind: PaymentKind::Authorization,
                    amount,
                    source: Source::Tender(tender),
                    cause,
                    actor: SERVICE_ACTOR,
                    send_now: true,
                };
                Ok::<_, Lost>(Some(effects::plan(conn, ctx, &order, &new).await?))
            })
        })
        .await?;
    Ok(planned)
}

async fn still_mine(conn: &mut PgConnection, run: &Run) -> Result<(i64, bool), Lost> {
    let attempt = run.saga().attempt;
    sagas::lock_claimed(conn, run.order_id(), run.holder(), attempt)
        .await?
        .ok_or(Lost::Lease)
}

fn answered(payment: Payment, answer: Answer) -> Done {
    let result = match &answer {
        Answer::Approved { .. } => StepResult::Done,
        Answer::Declined { .. } => StepResult::Refused(DECLINED.to_owned()),
    };
    let note = match &answer {
        Answer::Approved { reference, .. } => reference.clone(),
        Answer::Declined { code } => code.clone(),
    };
    Done {
        result,
        note,
        ..Done::with(Record::Authorized(payment, answer))
    }
}

/// A result that somebody else has written, such as the reconciler.
fn settled(payment: &Payment) -> Done {
    if payment.state == PaymentState::Succeeded {
        return Done::pass("authorized");
    }
    Done::refused(DECLINED, payment.failure_code.clone())
}

pub(super) async fn record(
    conn: &mut PgConnection,
    ctx: &Ctx,
    order: &mut Locked,
    payment: &Payment,
    answer: &Answer,
) -> Result<(), Lost> {
    effects::record(conn, ctx, order, payment, answer, SERVICE_ACTOR).await?;
    Ok(())
}

/// True when an open authorization of the tender covers the amount; one that does not is given up.
async fn earlier_suffices(ctx: &Ctx, run: &Run, tender: i32, amount: i64) -> Result<bool, Failure> {
    let all = list(ctx, run).await?;
    let open = open_authorizations(&all);
    let of_tender = open.iter().find(|(one, _)| one.tender == tender);
    let Some((authorization, left)) = of_tender else {
        return Ok(false);
    };
    if *left >= amount {
        return Ok(true);
    }
    give_up(ctx, run, authorization, *left).await?;
    Ok(false)
}

/// Finds out about authorizations for earlier reservations whose answers are not known; nobody sends those again.
async fn settle_earlier(ctx: &Ctx, run: &Run) -> Result<(), Failure> {
    let present = cause(run.saga().reservation_attempt, 1);
    for payment in list(ctx, run).await? {
        let is_open = payment.kind == PaymentKind::Authorization && !payment.state.is_settled();
        if is_open && !payment.cause.starts_with(&present) {
            settle_unwanted(ctx, &payment).await?;
        }
    }
    Ok(())
}

async fn settle_unwanted(ctx: &Ctx, payment: &Payment) -> Result<(), Failure> {
    match effects::settle_unwanted(ctx, payment).await? {
        Some(doubt) => Err(Failure::Retry(doubt)),
        None => Ok(()),
    }
}

async fn list(ctx: &Ctx, run: &Run) -> Result<Vec<Payment>, Failure> {
    let mut conn = ctx.db.read().await?;
    Ok(payments::list(&mut conn, run.order_id()).await?)
}

pub(super) async fn undo(ctx: &Ctx, run: &Run) -> Result<Undone, Failure> {
    for payment in list(ctx, run).await? {
        let open = !payment.state.is_settled();
        if open && payment.kind == PaymentKind::Authorization {
            settle_unwanted(ctx, &payment).await?;
        }
    }
    for (authorization, left) in open_authorizations(&list(ctx, run).await?) {
        give_up(ctx, run, authorization, left).await?;
    }
    Ok(Undone::Nothing)
}

/// Gives up what is left of an authorization.
async fn give_up(ctx: &Ctx, run: &Run, authorization: &Payment, left: i64) -> Result<(), Failure> {
    let (payment, fresh) = ctx
        .db
        .run_tx("plan_void", |tx| {
            Box::pin(async move {
                let conn = tx.conn();
                let order = changes::lock(conn, run.order_id()).await?;
                still_mine(conn, run).await?;
                let new = NewPayment {
                    kind: PaymentKind::Void,
                    amount: left,
                    source: authorization.into(),
                    cause: &authorization.cause,
                    actor: SERVICE_ACTOR,
                    send_now: true,
                };
                Ok::<_, Lost>(effects::plan(conn, ctx, &order, &new).await?)
            })
        })
        .await?;
    if payment.state == PaymentState::Failed {
        let message = format!("the provider refused to void: {}", payment.failure_code);
        return Err(Failure::Stuck(message));
    }
    let answer = match effects::run(ctx, &payment, fresh).await? {
        Ran::Answered(answer) => answer,
        Ran::InDoubt(detail) | Ran::NotAsked(detail) => return Err(Failure::Retry(detail)),
        // Written by somebody else meanwhile: look at the ledger again.
        Ran::Settled => return Err(Failure::Retry("the void is being settled".to_owned())),
    };
    if let Answer::Declined { code } = &answer {
        let message = format!("the provider refused to void: {code}");
        write(ctx, &payment, &answer).await?;
        return Err(Failure::Stuck(message));
    }
    write(ctx, &payment, &answer).await
}

async fn write(ctx: &Ctx, payment: &Payment, answer: &Answer) -> Result<(), Failure> {
    effects::write(ctx, payment, answer, SERVICE_ACTOR).await?;
    Ok(())
}
