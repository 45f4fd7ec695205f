//! ListReturns: keyset pages, oldest first.

use time::OffsetDateTime;
use uuid::Uuid;

use crate::ctx::Ctx;
use crate::domain::returns::Return;
use crate::error::Error;
use crate::store;

pub(crate) use crate::store::returns::Filter;

/// A page of returns and the position of the next one, if there is one.
#[derive(Debug)]
pub(crate) struct Page {
    /// Returns.
    pub(crate) returns: Vec<Return>,
    /// Time and id of the last one when more follow.
    pub(crate) next: Option<(OffsetDateTime, Uuid)>,
}

/// A page after a position.
pub(crate) async fn list_returns(
    ctx: &Ctx,
    filter: &Filter,
    after: Option<(OffsetDateTime, Uuid)>,
    size: i64,
) -> Result<Page, Error> {
    let mut conn = ctx.db.snapshot().await?;
    // One more than asked for tells whether another page follows.
    let mut rows = store::returns::list(&mut conn, filter, after, size + 1).await?;
    let wanted = usize::try_from(size).unwrap_or(usize::MAX);
    let more = rows.len() > wanted;
    rows.truncate(wanted);
    let ids: Vec<Uuid> = rows.iter().map(|(_, id)| *id).collect();
    let returns = store::returns::load_many(&mut conn, &ids).await?;
    Ok(Page {
        returns,
        next: rows.last().copied().filter(|_| more),
    })
}
