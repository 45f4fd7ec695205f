//! What is done to returns: one file per use case, one transaction each.

mod authorize_return;
mod cancel_return;
mod decline_return;
mod dispose_return;
mod inspect_return;
mod issue_return_label;
mod receive_return;
mod record_refund;
mod record_transit;
mod request_return;

pub(crate) use authorize_return::authorize_return;
pub(crate) use cancel_return::cancel_return;
pub(crate) use decline_return::decline_return;
pub(crate) use dispose_return::dispose_return;
pub(crate) use inspect_return::inspect_return;
pub(crate) use issue_return_label::{ISSUE_LABEL_TASK, buy_label, issue_return_label};
pub(crate) use receive_return::receive_return;
pub(crate) use record_refund::{PaidRefund, record_refund};
pub(crate) use record_transit::record_transit;
pub(crate) use request_return::{NewReturn, NewReturnLine, request_return};

use oms_core::{Principal, ReturnId, derive};
use oms_postgres::idempotency;
use sqlx::PgConnection;

use crate::changes;
use crate::ctx::{Call, Ctx};
use crate::domain::event::Fact;
use crate::domain::returns::Return;
use crate::domain::state::ReturnAction;
use crate::error::Error;
use crate::store;

/// One change of one return in one transaction: answers a repeat, locks, compares the etag, lets the rules
/// decide, and commits the new state with its facts.
async fn change(
    ctx: &Ctx,
    call: &Call,
    name: &'static str,
    return_id: ReturnId,
    etag: Option<i64>,
    decide: impl Fn(&mut Return) -> Result<Vec<Fact>, Error> + Sync,
) -> Result<Return, Error> {
    let (key, decide) = (&call.key(), &decide);
    ctx.db
        .run_tx(name, |tx| {
            Box::pin(async move {
                if idempotency::check(tx, key).await?.is_some() {
                    return load(tx, return_id).await;
                }
                let mut ret = lock(tx, return_id).await?;
                if etag.is_some_and(|etag| etag != ret.version) {
                    return Err(Error::EtagMismatch(ret.version));
                }
                let facts = decide(&mut ret)?;
                commit(ctx, tx, &mut ret, facts, &call.principal).await?;
                idempotency::record(tx, key, &return_id.to_string()).await?;
                Ok(ret)
            })
        })
        .await
}

/// Writes a changed return with its facts, with the refunds that are due by now, and closes it when it is settled.
async fn commit(
    ctx: &Ctx,
    conn: &mut PgConnection,
    ret: &mut Return,
    mut facts: Vec<Fact>,
    actor: &Principal,
) -> Result<(), Error> {
    let due = ret.trigger_refund();
    if !due.is_empty() {
        let refund_id = derive(ret.return_id.uuid(), &format!("refund/{}", ret.version));
        facts.push(Fact::RefundTriggered(refund_id, due));
    }
    if ret.is_settled() {
        ret.step(ReturnAction::Close, "close")?;
        facts.push(Fact::StateChanged("close"));
    }
    let now = ctx.clock.now();
    for fact in &facts {
        changes::append(conn, ret, fact, ctx.ids.next(), actor, now).await?;
    }
    store::returns::save(conn, ret).await?;
    Ok(())
}

async fn lock(conn: &mut PgConnection, return_id: ReturnId) -> Result<Return, Error> {
    store::returns::lock(conn, return_id)
        .await?
        .ok_or(Error::NotFound(return_id))
}

async fn load(conn: &mut PgConnection, return_id: ReturnId) -> Result<Return, Error> {
    store::returns::load(conn, return_id)
        .await?
        .ok_or(Error::NotFound(return_id))
}
