//! Lists pick lists of a location, oldest first.

use oms_core::LocationId;

use super::Position;
use crate::ctx::Ctx;
use crate::domain::picking::{PickList, PickListState};
use crate::error::Error;
use crate::store::{self, Page};

/// A page of pick lists.
#[derive(Debug)]
pub(crate) struct PickListList {
    /// Location.
    pub(crate) location_id: LocationId,
    /// Only in these states; empty for all.
    pub(crate) states: Vec<PickListState>,
    /// Where the page before ended.
    pub(crate) after: Option<Position>,
    /// Most in the page.
    pub(crate) page_size: i64,
}

/// Answers a page, and where it ends when there are more.
pub(crate) async fn list_pick_lists(
    ctx: &Ctx,
    list: &PickListList,
) -> Result<(Vec<PickList>, Option<Position>), Error> {
    // One more than asked for tells whether there is another page.
    let page = Page {
        after: list.after,
        limit: list.page_size + 1,
    };
    let mut conn = ctx.db.snapshot().await?;
    let mut lists =
        store::pick_lists::list(&mut conn, &list.location_id, &list.states, page).await?;
    let is_more = i64::try_from(lists.len()).is_ok_and(|count| count > list.page_size);
    if !is_more {
        return Ok((lists, None));
    }
    lists.pop();
    let last = lists.last().map(|list| (list.created_at, list.id.uuid()));
    Ok((lists, last))
}
