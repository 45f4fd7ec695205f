//! Answers one pick list.

use oms_core::PickListId;

use crate::ctx::Ctx;
use crate::domain::picking::PickList;
use crate::error::Error;
use crate::store;

/// Answers one pick list.
pub(crate) async fn get_pick_list(ctx: &Ctx, id: PickListId) -> Result<PickList, Error> {
    let mut conn = ctx.db.read().await?;
    let found = store::pick_lists::get(&mut conn, id).await?;
    found.ok_or_else(|| Error::not_found("pick_list", id))
}
