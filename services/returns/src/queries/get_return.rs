//! GetReturn.

use oms_core::ReturnId;

use crate::ctx::Ctx;
use crate::domain::returns::Return;
use crate::error::Error;
use crate::store;

/// One return; `None` when there is none with this id.
pub(crate) async fn get_return(ctx: &Ctx, return_id: ReturnId) -> Result<Option<Return>, Error> {
    let mut conn = ctx.db.snapshot().await?;
    Ok(store::returns::load(&mut conn, return_id).await?)
}
