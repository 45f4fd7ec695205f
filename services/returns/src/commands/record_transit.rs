//! Records that the carrier has a return.

use oms_core::{Principal, ReturnId};
use sqlx::PgConnection;

use crate::ctx::Ctx;
use crate::domain::event::Fact;
use crate::domain::state::ReturnAction;

use crate::error::Error;

use super::{commit, lock};

/// Puts the return in transit; a scan that comes late, after the goods, changes nothing.
pub(crate) async fn record_transit(
    ctx: &Ctx,
    conn: &mut PgConnection,
    return_id: ReturnId,
    actor: &Principal,
) -> Result<(), Error> {
    let mut ret = lock(conn, return_id).await?;
    if ret.step(ReturnAction::Transit, "transit").is_err() {
        return Ok(());
    }
    commit(
        ctx,
        conn,
        &mut ret,
        vec![Fact::StateChanged("transit")],
        actor,
    )
    .await
}
