//! What skipping and overriding share: a person decides of parked work, once, with the reason on the order's timeline.

use oms_core::OrderId;
use oms_postgres::{idempotency, tasks};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::changes::{self, Change, Event, Locked};
use crate::ctx::{Caller, Ctx};
use crate::domain::ruling::Ruling;
use crate::domain::saga::SagaState;
use crate::error::Error;
use crate::store::sagas::{self, LedgerEntry};
use crate::store::stuck_tasks::{self, TASK_ACTIONS};

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
        Some(task) => {
            if rule.ruling != Ruling::Skip {
                return Err(not_possible(task.kind, rule.ruling, TASK_ACTIONS.to_vec()));
            }
            let order = match task.order_id {
                Some(order_id) => Some(changes::lock(conn, order_id).await?),
                None => None,
            };
            if !tasks::skip(conn, id).await? {
                return Err(not_found(id));
            }
            (task.kind, order)
        }
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
    let order = changes::lock(conn, order_id).await?;
    // Under the order's lock nobody else moves a stuck saga.
    let saga = sagas::load(conn, order_id).await?;
    let saga = saga.filter(|saga| saga.state == SagaState::Stuck);
    let saga = saga.ok_or_else(|| not_found(id))?;
    let step = saga.step.as_str();
    let Some(ruled) = saga.ruled(rule.ruling) else {
        let supported = saga.supported_actions();
        return Err(not_possible(step.to_owned(), rule.ruling, supported));
    };
    let entry = LedgerEntry {
        step: saga.step,
        outcome: match rule.ruling {
            Ruling::Skip => "UNDONE",
            Ruling::RejectOrder => "FAILED",
            Ruling::StepDone => "SUCCEEDED",
        },
        detail: &format!("{}: {}", caller.actor(), rule.note),
    };
    if !sagas::move_stuck(conn, &ruled, &entry, ctx.now()).await? {
        return Err(not_found(id));
    }
    Ok((step.to_owned(), Some(order)))
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
