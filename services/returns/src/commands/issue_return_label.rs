//! IssueReturnLabel: has shipping buy a label from the customer to the location.
//!
//! The intent is committed first, with a task that buys the label; then it is tried at once, so that the
//! answer usually holds the tracking number. Both ways use the same ids, so shipping makes one shipment.

use oms_core::{Principal, ReturnId, ShipmentId, derive};
use oms_postgres::{NewTask, idempotency, tasks};
use time::Duration;

use crate::ctx::{Call, Ctx};
use crate::domain::event::Fact;
use crate::domain::returns::Return;

use crate::error::Error;

use super::{commit, load, lock};

/// Kind of the task that buys the label.
pub(crate) const ISSUE_LABEL_TASK: &str = "issue_return_label";
/// Time that the request has to buy the label itself.
const TASK_DELAY: Duration = Duration::seconds(2);

/// Asks for a label, and tries to buy it at once.
#[tracing::instrument(name = "returns.issue_return_label", skip_all, fields(oms.return.id = %return_id))]
pub(crate) async fn issue_return_label(
    ctx: &Ctx,
    call: &Call,
    return_id: ReturnId,
    etag: Option<i64>,
) -> Result<Return, Error> {
    let ret = intend(ctx, call, return_id, etag).await?;
    match buy_label(ctx, return_id, &call.principal).await {
        Ok(ret) => Ok(ret),
        // The task goes on trying; the caller sees a return without a tracking number yet.
        Err(Error::Peer { peer, error }) => {
            tracing::warn!(peer, %error, "label is bought later");
            Ok(ret)
        }
        Err(error) => Err(error),
    }
}

async fn intend(
    ctx: &Ctx,
    call: &Call,
    return_id: ReturnId,
    etag: Option<i64>,
) -> Result<Return, Error> {
    let key = &call.key();
    ctx.db
        .run_tx("issue_return_label", |tx| {
            Box::pin(async move {
                if idempotency::check(tx, key).await?.is_some() {
                    return load(tx, return_id).await;
                }
                let mut ret = lock(tx, return_id).await?;
                if etag.is_some_and(|etag| etag != ret.version) {
                    return Err(Error::EtagMismatch(ret.version));
                }
                let shipment_id = derive(return_id.uuid(), "shipment");
                ret.issue_label(ShipmentId::new(shipment_id))?;
                tasks::insert(tx, &task(ctx, call, return_id)).await?;
                let facts = vec![Fact::StateChanged("issue_label")];
                commit(ctx, tx, &mut ret, facts, &call.principal).await?;
                idempotency::record(tx, key, &return_id.to_string()).await?;
                Ok(ret)
            })
        })
        .await
}

fn task(ctx: &Ctx, call: &Call, return_id: ReturnId) -> NewTask {
    NewTask {
        id: derive(return_id.uuid(), ISSUE_LABEL_TASK),
        kind: ISSUE_LABEL_TASK,
        key: return_id.to_string(),
        payload: Vec::new(),
        // The request tries it first; this is for what it does not get done.
        run_at: ctx.clock.now() + TASK_DELAY,
        actor: call.principal.to_string(),
    }
}

/// Has shipping make the shipment and buy the label, and records the tracking number. Done twice it is the
/// same as once.
pub(crate) async fn buy_label(
    ctx: &Ctx,
    return_id: ReturnId,
    actor: &Principal,
) -> Result<Return, Error> {
    let ret = {
        let mut conn = ctx.db.snapshot().await?;
        load(&mut conn, return_id).await?
    };
    let Some(shipment_id) = ret.label_to_buy() else {
        return Ok(ret);
    };
    let tracking_number = &ctx
        .shipping
        .buy_return_label(&ret, shipment_id, &ctx.policy)
        .await?;
    ctx.db
        .run_tx("record_return_label", |tx| {
            Box::pin(async move {
                let mut ret = lock(tx, return_id).await?;
                if !ret.tracking_number.is_empty() {
                    return Ok(ret);
                }
                ret.tracking_number.clone_from(tracking_number);
                let facts = vec![Fact::StateChanged("label_issued")];
                commit(ctx, tx, &mut ret, facts, actor).await?;
                Ok(ret)
            })
        })
        .await
}
