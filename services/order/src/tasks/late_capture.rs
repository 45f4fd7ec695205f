//! What a capture does whose authorization has ended: it authorizes again first, and goes over that as its next attempt.

use oms_core::OrderId;
use oms_postgres::TaskError;
use sqlx::PgConnection;

use super::renew_authorization::bring;
use super::task_error;
use crate::changes::{self, Locked};
use crate::ctx::{Ctx, SERVICE_ACTOR};
use crate::domain::capture;
use crate::domain::payment::{Answer, Payment, PaymentKind, PaymentState};
use crate::domain::refund::{latest, next_cause, parts};
use crate::domain::renewal::{Before, EXPIRED, LAPSED, before_capture, capture_cause};
use crate::error::Error;
use crate::payments::effects::{self, NewPayment, Source};
use crate::store::payments;

/// More rounds than the parts of a capture need.
const ROUNDS_MOST: usize = 50;

enum Step {
    /// These are to be sent; some may be settled.
    Ready(Vec<Payment>),
    /// Bring this authorization to the provider.
    Run(Box<Payment>),
    /// A part has a new attempt.
    Again,
}

/// Sees that every part of a capture that is to be sent has an authorization which has not ended. Answers the parts as
/// they are then.
pub(super) async fn prepare(
    ctx: &Ctx,
    order_id: OrderId,
    cause: &str,
) -> Result<Vec<Payment>, TaskError> {
    for _ in 0..ROUNDS_MOST {
        let step = ctx
            .db
            .run_tx("prepare_capture", |tx| {
                Box::pin(async move { step(tx.conn(), ctx, order_id, cause).await })
            })
            .await
            .map_err(task_error)?;
        match step {
            Step::Ready(parts) => return Ok(parts),
            Step::Run(authorization) => bring(ctx, &authorization).await?,
            Step::Again => {}
        }
    }
    Err(TaskError::Retry(
        "the capture finds no authorization".to_owned(),
    ))
}

async fn step(
    conn: &mut PgConnection,
    ctx: &Ctx,
    order_id: OrderId,
    cause: &str,
) -> Result<Step, Error> {
    let mut order = changes::lock(conn, order_id).await?;
    let ledger = payments::list(conn, order_id).await?;
    let all = parts(&ledger, PaymentKind::Capture, cause);
    for part in &all {
        match before_capture(&ledger, part, ctx.now()) {
            Before::Send => {}
            Before::Run(authorization) => return Ok(Step::Run(Box::new(authorization.clone()))),
            Before::Refused(_) if part.state.is_settled() => {}
            Before::Refused(_) => {
                lapse(conn, ctx, &mut order, part).await?;
                return Ok(Step::Again);
            }
            Before::Authorize => {
                let new = NewPayment {
                    kind: PaymentKind::Authorization,
                    amount: amount_of(&ledger, part, cause, order.owed()),
                    source: Source::Tender(part.tender),
                    cause: &capture_cause(part),
                    actor: SERVICE_ACTOR,
                    send_now: false,
                };
                let planned = effects::plan(conn, ctx, &order, &new).await?;
                return Ok(Step::Run(Box::new(planned.0)));
            }
            Before::Switch(authorization) => {
                lapse(conn, ctx, &mut order, part).await?;
                let amount = amount_of(&ledger, part, cause, order.owed());
                let new = NewPayment {
                    kind: PaymentKind::Capture,
                    amount: amount.min(authorization.amount),
                    source: authorization.into(),
                    cause: &next_cause(&part.cause),
                    actor: SERVICE_ACTOR,
                    send_now: false,
                };
                effects::plan(conn, ctx, &order, &new).await?;
                return Ok(Step::Again);
            }
        }
    }
    Ok(Step::Ready(all.into_iter().cloned().collect()))
}

/// Ends an attempt that was not sent.
async fn lapse(
    conn: &mut PgConnection,
    ctx: &Ctx,
    order: &mut Locked,
    part: &Payment,
) -> Result<(), Error> {
    let answer = Answer::Declined {
        code: LAPSED.to_owned(),
    };
    effects::record(conn, ctx, order, part, &answer, SERVICE_ACTOR).await?;
    Ok(())
}

/// The amount of the next attempt: less, when units of a prepaid order were canceled since it was declined.
fn amount_of(ledger: &[Payment], part: &Payment, cause: &str, owed: i64) -> i64 {
    let again = capture::declined(ledger, cause, owed);
    again
        .iter()
        .find(|(failed, _)| failed.payment_id == part.payment_id)
        .map_or(part.amount, |(_, amount)| *amount)
}

/// True when a declined capture is to be tried again at once, over another authorization.
pub(super) fn is_tried_again(ctx: &Ctx, ledger: &[Payment], failed: &Payment) -> bool {
    failed.failure_code == EXPIRED
        && !matches!(
            before_capture(ledger, failed, ctx.now()),
            Before::Send | Before::Refused(_)
        )
}

/// Why a capture was declined, for people: of one that was not sent, why no new authorization could be had.
pub(super) fn why(ledger: &[Payment], failed: &Payment) -> String {
    let own = latest(ledger, PaymentKind::Authorization, &capture_cause(failed));
    match own.filter(|own| own.state == PaymentState::Failed) {
        Some(own) => format!(
            "the authorization had ended, and a new one: {}",
            own.failure_code
        ),
        None => failed.failure_code.clone(),
    }
}
