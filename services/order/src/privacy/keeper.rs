//! Keeps personal data as it should be: rows of before are sealed, keys are wrapped by the newest master key, and what
//! nobody needs any more is erased. Every round works in small batches until nothing is left, and the next one comes for
//! what an older replica has written meanwhile.

use std::time::Duration;

use oms_core::AddressId;
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;

use crate::ctx::{Ctx, SERVICE_ACTOR};
use crate::domain::erasure::Subject;
use crate::error::Error;
use crate::store::{addresses, data_keys, personal_texts};

use super::erase::erase;
use super::{key_for, seal_address};

/// Rows that one transaction works on.
const BATCH: i64 = 100;
/// Pause between two looks for customers whose data is not needed any more.
const RETIRE_PAUSE: time::Duration = time::Duration::hours(1);

/// Runs until canceled; the first round comes at once.
pub(crate) async fn run(ctx: &Ctx, pause: Duration, cancel: &CancellationToken) {
    let mut retire_at = ctx.now();
    loop {
        if let Err(error) = round(ctx, cancel).await {
            tracing::warn!(%error, "keeping personal data failed, the next round tries again");
        }
        if ctx.config.privacy.retention_days > 0 && ctx.now() >= retire_at {
            retire_at = ctx.now() + RETIRE_PAUSE;
            if let Err(error) = retire(ctx, cancel).await {
                tracing::warn!(%error, "erasing what is kept for too long failed, it is tried again later");
            }
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn round(ctx: &Ctx, cancel: &CancellationToken) -> Result<(), Error> {
    let mut sealed = 0;
    let mut wrapped = 0;
    while !cancel.is_cancelled() {
        match seal_some(ctx).await? {
            0 => break,
            rows => sealed += rows,
        }
    }
    while !cancel.is_cancelled() {
        match rewrap_some(ctx).await? {
            0 => break,
            keys => wrapped += keys,
        }
    }
    if sealed + wrapped > 0 {
        tracing::info!(sealed, wrapped, "personal data was sealed anew");
    }
    Ok(())
}

async fn seal_some(ctx: &Ctx) -> Result<usize, Error> {
    ctx.db
        .run_tx("seal_addresses", |tx| {
            Box::pin(async move { seal_clear(ctx, tx.conn(), None).await })
        })
        .await
}

/// Seals some addresses that stand in clear, of everybody or of one subject; answers how many.
pub(super) async fn seal_clear(
    ctx: &Ctx,
    conn: &mut PgConnection,
    of: Option<&Subject>,
) -> Result<usize, Error> {
    let mut clear = addresses::lock_clear(conn, of, BATCH).await?;
    // Keys are locked in one order, so that two who seal many cannot lock each other out.
    clear.sort_by_key(|row| row.subject.id());
    for row in &clear {
        let key = key_for(ctx, conn, &row.subject).await?;
        let id: AddressId = row.address_id;
        let sealed = seal_address(&key, id, &row.address)?;
        addresses::seal(conn, id, key.id(), &sealed).await?;
    }
    Ok(clear.len())
}

async fn rewrap_some(ctx: &Ctx) -> Result<usize, Error> {
    ctx.db
        .run_tx("rewrap_data_keys", |tx| {
            Box::pin(async move {
                let conn = tx.conn();
                let newest = ctx.masters.newest();
                let keys = data_keys::lock_wrapped_otherwise(conn, newest, BATCH).await?;
                for key in &keys {
                    if let Some(wrapped) = ctx.masters.rewrap(key.key_id, &key.wrapped)? {
                        data_keys::rewrap(conn, key.key_id, &wrapped).await?;
                    }
                }
                Ok::<_, Error>(keys.len())
            })
        })
        .await
}

/// Erases whose last order changed longer ago than is kept, unless it is still open.
async fn retire(ctx: &Ctx, cancel: &CancellationToken) -> Result<(), Error> {
    let kept = time::Duration::days(ctx.config.privacy.retention_days.into());
    let before = ctx.now() - kept;
    let mut after = None;
    loop {
        let page = {
            let mut conn = ctx.db.read().await?;
            personal_texts::silent_since(&mut conn, before, after, BATCH).await?
        };
        let Some((last, _)) = page.last() else {
            return Ok(());
        };
        after = Some(*last);
        for (_, subject) in &page {
            if cancel.is_cancelled() {
                return Ok(());
            }
            retire_one(ctx, subject).await?;
        }
    }
}

async fn retire_one(ctx: &Ctx, subject: &Subject) -> Result<(), Error> {
    let erased = ctx
        .db
        .run_tx("retire_customer", |tx| {
            Box::pin(async move { erase(ctx, tx.conn(), SERVICE_ACTOR, subject).await })
        })
        .await;
    match erased {
        Ok(_) | Err(Error::OpenOrders { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
