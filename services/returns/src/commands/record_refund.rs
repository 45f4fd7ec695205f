//! Records that the order service paid a refund back.

use oms_core::{OrderLineId, Principal, ReturnId};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::ctx::Ctx;
use crate::domain::event::Fact;
use crate::error::Error;
use crate::store;

use super::{commit, lock};

/// A refund as the order service paid it.
#[derive(Debug)]
pub(crate) struct PaidRefund {
    /// Id that this service gave it when it asked for it.
    pub(crate) refund_id: Uuid,
    /// Return.
    pub(crate) return_id: ReturnId,
    /// Paid, in minor units.
    pub(crate) minor: i64,
    /// Units that were paid for.
    pub(crate) units: Vec<(OrderLineId, i64)>,
}

/// Books a refund once, however often it is told; runs in the consumer's transaction.
pub(crate) async fn record_refund(
    ctx: &Ctx,
    conn: &mut PgConnection,
    refund: &PaidRefund,
    actor: &Principal,
) -> Result<(), Error> {
    let mut ret = lock(conn, refund.return_id).await?;
    let now = ctx.clock.now();
    let (id, minor) = (refund.refund_id, refund.minor);
    if !store::refunds::insert(conn, id, ret.return_id, minor, now).await? {
        return Ok(());
    }
    ret.refund_paid(minor, &refund.units);
    let facts = vec![Fact::StateChanged("refund")];
    commit(ctx, conn, &mut ret, facts, actor).await
}
