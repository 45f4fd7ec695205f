//! Gives a pick list to a worker.

use oms_core::PickListId;
use sqlx::PgConnection;

use super::begun;
use crate::ctx::{Call, Ctx};
use crate::domain::picking::PickList;
use crate::domain::refusal::check_etag;
use crate::error::Error;
use crate::store;

/// Assigns a pick list; `etag` is the version that the caller read.
pub(crate) async fn assign_pick_list(
    ctx: &Ctx,
    call: &Call,
    id: PickListId,
    etag: Option<i64>,
    assignee: &str,
) -> Result<PickList, Error> {
    ctx.db
        .run_tx("assign_pick_list", |tx| {
            Box::pin(async move { run(tx.conn(), ctx, call, id, etag, assignee).await })
        })
        .await
}

async fn run(
    conn: &mut PgConnection,
    ctx: &Ctx,
    call: &Call,
    id: PickListId,
    etag: Option<i64>,
    assignee: &str,
) -> Result<PickList, Error> {
    if let Some(id) = begun(conn, call, id.uuid()).await? {
        return found(conn, PickListId::new(id)).await;
    }
    let mut list = locked(conn, id).await?;
    check_etag(etag, list.version)?;
    list.assign(assignee)?;
    save(conn, ctx, &mut list).await?;
    Ok(list)
}

/// A pick list that must be there.
pub(super) async fn found(conn: &mut PgConnection, id: PickListId) -> Result<PickList, Error> {
    let list = store::pick_lists::get(conn, id).await?;
    list.ok_or_else(|| Error::not_found("pick_list", id))
}

/// The same, locked until the transaction ends.
pub(super) async fn locked(conn: &mut PgConnection, id: PickListId) -> Result<PickList, Error> {
    let list = store::pick_lists::lock(conn, id).await?;
    list.ok_or_else(|| Error::not_found("pick_list", id))
}

/// Writes a changed pick list.
pub(super) async fn save(
    conn: &mut PgConnection,
    ctx: &Ctx,
    list: &mut PickList,
) -> Result<(), Error> {
    list.version += 1;
    Ok(store::pick_lists::save(conn, list, ctx.clock.now()).await?)
}
