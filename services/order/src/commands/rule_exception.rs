//! What skipping and overriding share: a person decides of parked work, once, with the reason on the order's timeline.

use oms_core::{CancellationId, OrderId, PaymentId, Violations};
use oms_postgres::{idempotency, tasks};
use sqlx::PgConnection;
use uuid::Uuid;

use super::cancel_order::RUN_CANCELLATION_TASK;
use super::end_cancellation::end_cancellation;
use super::settle_order::settle_order;
use crate::changes::{self, Change, Event, Locked};
use crate::ctx::{Caller, Ctx};
use crate::domain::payment::{Answer, Payment, PaymentState};
use crate::domain::release::ReleaseState;
use crate::domain::ruling::{Ruling, asked_by_task, in_doubt, task_actions};
use crate::domain::saga::{SagaState, Step};
use crate::error::Error;
use crate::payments::effects;
use crate::store::sagas::{self, LedgerEntry};
use crate::store::stuck_tasks::{self, StuckTask};
use crate::store::{cancellation_plans, payments, releases};

/// Code of a payment that the provider has not made, as a person has found out.
const NOT_DONE: &str = "ruled_not_done";
/// Code of a payment that was planned and never sent when its task was given up.
const SKIPPED: &str = "skipped";

/// A decision of parked work.
#[derive(Debug, Clone, Copy)]
pub(super) struct RuleException<'a> {
    /// RPC.
    pub(super) method: &'static str,
    /// Its name on the timeline.
    pub(super) action: &'static str,
    /// Id of the stuck task, or of the order whose saga is stuck.
    pub(super) exception_id: Uuid,
    /// What is decided.
    pub(super) ruling: Ruling,
    /// The payment that a ruling of an effect is about; needed when several are in doubt.
    pub(super) payment_id: Option<PaymentId>,
    /// The provider's reference of what it did, for [`Ruling::EffectConfirmed`].
    pub(super) provider_reference: &'a str,
    /// Why.
    pub(super) note: &'a str,
}

/// Decides in a transaction of the command. Known exceptions that are not stuck are not found.
pub(super) async fn rule_exception(
    ctx: &Ctx,
    conn: &mut PgConnection,
    caller: &Caller,
    rule: RuleException<'_>,
) -> Result<(), Error> {
    let key = caller.key(rule.method);
    if idempotency::check(conn, &key).await?.is_some() {
        return Ok(());
    }
    let id = rule.exception_id;
    let (step, order) = match stuck_tasks::find(conn, id).await? {
        Some(task) => rule_task(ctx, conn, caller, rule, task).await?,
        None => rule_saga(ctx, conn, caller, rule).await?,
    };
    if let Some(mut order) = order {
        oms_telemetry::record_order_id(&tracing::Span::current(), order.order_id);
        let actor = caller.actor();
        let change = Change {
            actor: &actor,
            action: rule.action,
            detail: format!("{step}, {}: {}", rule.ruling.as_str(), rule.note),
            event: Event::Updated,
        };
        order.write(conn, ctx, &change).await?;
    }
    Ok(idempotency::record(conn, &key, &id.to_string()).await?)
}

async fn rule_task(
    ctx: &Ctx,
    conn: &mut PgConnection,
    caller: &Caller,
    rule: RuleException<'_>,
    task: StuckTask,
) -> Result<(String, Option<Locked>), Error> {
    let Some(order_id) = task.order_id else {
        if !rule.ruling.is_for_task(false) {
            return Err(not_possible(task.kind, rule.ruling, task_actions(false)));
        }
        move_task(conn, rule).await?;
        return Ok((task.kind, None));
    };
    let mut order = changes::lock(conn, order_id).await?;
    let ledger = payments::list(conn, order_id).await?;
    let asked = asked_by_task(&task.kind, &task.cause, &ledger);
    let doubtful = in_doubt(&asked);
    let is_in_doubt = !doubtful.is_empty();
    if !rule.ruling.is_for_task(is_in_doubt) {
        let what = parked(&task.kind, &doubtful);
        return Err(not_possible(what, rule.ruling, task_actions(is_in_doubt)));
    }
    if rule.ruling.is_of_effect() {
        settle_effect(ctx, conn, caller, &mut order, &doubtful, rule).await?;
    } else {
        give_up_planned(ctx, conn, caller, &mut order, &asked).await?;
        if task.kind == RUN_CANCELLATION_TASK {
            give_up_cancellation(ctx, conn, caller, &mut order, &task.payload).await?;
        }
    }
    move_task(conn, rule).await?;
    Ok((task.kind, Some(order)))
}

/// Lets a task go on with what was decided of its payment, or gives it up.
async fn move_task(conn: &mut PgConnection, rule: RuleException<'_>) -> Result<(), Error> {
    let id = rule.exception_id;
    let moved = if rule.ruling.is_of_effect() {
        tasks::retry(conn, id).await?
    } else {
        tasks::skip(conn, id).await?
    };
    if moved { Ok(()) } else { Err(not_found(id)) }
}

/// Writes what the provider did, as the person says.
async fn settle_effect(
    ctx: &Ctx,
    conn: &mut PgConnection,
    caller: &Caller,
    order: &mut Locked,
    doubtful: &[&Payment],
    rule: RuleException<'_>,
) -> Result<(), Error> {
    let payment = meant(doubtful, rule.payment_id)?;
    let answer = if rule.ruling == Ruling::EffectConfirmed {
        Answer::Approved {
            reference: rule.provider_reference.to_owned(),
            expires_at: None,
        }
    } else {
        Answer::Declined {
            code: NOT_DONE.to_owned(),
        }
    };
    effects::record(conn, ctx, order, payment, &answer, &caller.actor()).await?;
    Ok(())
}

/// The payment that is decided: the one that is named, or the only one there is.
fn meant<'a>(
    doubtful: &[&'a Payment],
    payment_id: Option<PaymentId>,
) -> Result<&'a Payment, Violations> {
    let found = match payment_id {
        Some(id) => doubtful.iter().copied().find(|one| one.payment_id == id),
        None => doubtful.first().copied().filter(|_| doubtful.len() == 1),
    };
    found.ok_or_else(|| {
        let (reason, message) = match payment_id {
            Some(_) => ("REFERENCE_UNKNOWN", "is not in doubt here"),
            None => ("FIELD_REQUIRED", "several payments are in doubt: say which"),
        };
        let mut violations = Violations::default();
        violations.push("payment_id", reason, message);
        violations
    })
}

/// Ends payments of a task that is given up and that were never sent, so that nothing waits for them.
async fn give_up_planned(
    ctx: &Ctx,
    conn: &mut PgConnection,
    caller: &Caller,
    order: &mut Locked,
    asked: &[&Payment],
) -> Result<(), Error> {
    let is_planned = |one: &&&Payment| one.state == PaymentState::Initiated;
    let answer = Answer::Declined {
        code: SKIPPED.to_owned(),
    };
    let mut is_settled = false;
    for payment in asked.iter().filter(is_planned) {
        effects::record(conn, ctx, order, payment, &answer, &caller.actor()).await?;
        is_settled = true;
    }
    if is_settled {
        settle_order(conn, ctx, order).await?;
    }
    Ok(())
}

/// Ends the cancellation whose task is given up with what it came to, so that nothing waits for it. What it could not give
/// back, inventory still has: its events say what becomes of that.
async fn give_up_cancellation(
    ctx: &Ctx,
    conn: &mut PgConnection,
    caller: &Caller,
    order: &mut Locked,
    payload: &[u8],
) -> Result<(), Error> {
    let id = std::str::from_utf8(payload).ok();
    let Some(id) = id.and_then(|text| text.parse::<CancellationId>().ok()) else {
        return Ok(());
    };
    let mut all = order.cancellations.iter();
    if !all.any(|one| one.cancellation_id == id && one.is_open()) || order.state.is_final() {
        return Ok(());
    }
    let plan = cancellation_plans::load(conn, id)
        .await?
        .unwrap_or_default();
    end_cancellation(conn, ctx, order, id, &plan, &caller.actor()).await
}

async fn rule_saga(
    ctx: &Ctx,
    conn: &mut PgConnection,
    caller: &Caller,
    rule: RuleException<'_>,
) -> Result<(String, Option<Locked>), Error> {
    let id = rule.exception_id;
    let order_id = OrderId::new(id);
    if sagas::load(conn, order_id).await?.is_none() {
        return Err(not_found(id));
    }
    let mut order = changes::lock(conn, order_id).await?;
    // Under the order's lock nobody else moves a stuck saga. The driver may have claimed one of an order that has expired: its
    // lease ends here.
    let saga = sagas::load(conn, order_id).await?;
    let saga = saga.filter(|saga| saga.state == SagaState::Stuck);
    let saga = saga.ok_or_else(|| not_found(id))?;
    let step = saga.step.as_str();
    let ledger = payments::list(conn, order_id).await?;
    let doubtful = in_doubt(&saga.asked(&ledger));
    let is_in_doubt = !doubtful.is_empty();
    let Some(mut ruled) = saga.ruled(rule.ruling, is_in_doubt) else {
        let supported = saga.supported_actions(is_in_doubt);
        return Err(not_possible(
            parked(step, &doubtful),
            rule.ruling,
            supported,
        ));
    };
    if rule.ruling.is_of_effect() {
        settle_effect(ctx, conn, caller, &mut order, &doubtful, rule).await?;
    }
    if rule.ruling == Ruling::StepDone
        && saga.step == Step::Release
        && hand_over(conn, order_id).await?
    {
        ruled.state = SagaState::Running;
    }
    let entry = LedgerEntry {
        step: saga.step,
        outcome: match rule.ruling {
            Ruling::Skip => "UNDONE",
            Ruling::RejectOrder => "FAILED",
            Ruling::StepDone => "SUCCEEDED",
            Ruling::EffectConfirmed | Ruling::EffectFailed if saga.undo_to.is_some() => {
                "UNDO_STARTED"
            }
            Ruling::EffectConfirmed | Ruling::EffectFailed => "STARTED",
        },
        // Who; why stands on the timeline, from where it goes with the customer.
        detail: &caller.actor(),
    };
    if !sagas::move_stuck(conn, &ruled, &entry, ctx.now()).await? {
        return Err(not_found(id));
    }
    Ok((step.to_owned(), Some(order)))
}

/// The batch that could not be handed to fulfillment was handed over by hand: nothing hands it over again, and no cancellation
/// waits for it. True when later batches are open; those go the usual way.
async fn hand_over(conn: &mut PgConnection, order_id: OrderId) -> Result<bool, Error> {
    let batches = releases::list(conn, order_id).await?;
    let open: Vec<_> = batches
        .iter()
        .filter(|batch| batch.state != ReleaseState::Released)
        .collect();
    // One that was never sent is handed over by nobody before the one that was.
    let sent = open.iter().find(|batch| batch.state == ReleaseState::Sent);
    if let Some(batch) = sent.or(open.first()) {
        releases::set_state(conn, order_id, &batch.batch, ReleaseState::Released).await?;
    }
    Ok(open.len() > 1)
}

/// What is parked, with what has to be decided of it first.
fn parked(step: &str, doubtful: &[&Payment]) -> String {
    match doubtful.first() {
        None => step.to_owned(),
        Some(payment) => {
            let id = payment.payment_id;
            format!("{step} with payment {id} in doubt: EFFECT_CONFIRMED or EFFECT_FAILED first")
        }
    }
}

fn not_found(id: Uuid) -> Error {
    Error::NotFound {
        resource: "exception",
        id: id.to_string(),
    }
}

fn not_possible(step: String, ruling: Ruling, supported: Vec<&'static str>) -> Error {
    Error::RulingNotPossible {
        step,
        action: ruling.as_str(),
        supported,
    }
}
