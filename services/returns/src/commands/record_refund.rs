//! Records that the order service paid a refund back.

use oms_core::{OrderLineId, Principal, ReturnId};
use sqlx::PgConnection;

use crate::ctx::Ctx;
use crate::domain::event::Fact;

use crate::error::Error;

use super::{commit, lock};

/// Books a refund; runs in the consumer's transaction, whose cursor makes it happen once.
pub(crate) async fn record_refund(
    ctx: &Ctx,
    conn: &mut PgConnection,
    return_id: ReturnId,
    minor: i64,
    units: &[(OrderLineId, i64)],
    actor: &Principal,
) -> Result<(), Error> {
    let mut ret = lock(conn, return_id).await?;
    ret.refund_paid(minor, units);
    commit(
        ctx,
        conn,
        &mut ret,
        vec![Fact::StateChanged("refund")],
        actor,
    )
    .await
}
