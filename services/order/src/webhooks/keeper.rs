//! Keeps the secrets of endpoints as they should be: rows of before are sealed, keys are wrapped by the newest master key.
//! The next round comes for what an older replica has written meanwhile.

use std::time::Duration;

use oms_seal::{MasterKeys, SealError};
use tokio_util::sync::CancellationToken;

use super::secret::Secret;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::store::webhook_secrets::{self, StoredSecret};

/// Rows that one transaction works on.
const BATCH: i64 = 100;

/// Runs until canceled; the first round comes at once.
pub(crate) async fn run(ctx: &Ctx, pause: Duration, cancel: &CancellationToken) {
    loop {
        if let Err(error) = round(ctx, cancel).await {
            tracing::warn!(%error, "sealing secrets of webhooks failed, the next round tries again");
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn round(ctx: &Ctx, cancel: &CancellationToken) -> Result<(), Error> {
    while !cancel.is_cancelled() {
        match seal_some(ctx).await? {
            0 => break,
            secrets => tracing::info!(secrets, "secrets of webhooks were sealed anew"),
        }
    }
    Ok(())
}

async fn seal_some(ctx: &Ctx) -> Result<usize, Error> {
    ctx.db
        .run_tx("seal_webhook_secrets", |tx| {
            Box::pin(async move {
                let (conn, masters) = (tx.conn(), &ctx.masters);
                let found =
                    webhook_secrets::lock_sealed_otherwise(conn, masters.newest(), BATCH).await?;
                for stored in &found {
                    if let Some(anew) = anew(masters, stored)? {
                        webhook_secrets::reseal(conn, &anew).await?;
                    }
                }
                Ok::<_, Error>(found.len())
            })
        })
        .await
}

/// The secret as it should be; `None` when it is so already.
fn anew(masters: &MasterKeys, stored: &StoredSecret) -> Result<Option<StoredSecret>, SealError> {
    let Some(wrapped) = &stored.key else {
        let secret = Secret::open(masters, stored)?;
        let sealed = secret.seal(masters, stored.endpoint_id, stored.secret_id)?;
        return Ok(Some(sealed));
    };
    let rewrapped = masters.rewrap(stored.secret_id, wrapped)?;
    Ok(rewrapped.map(|key| StoredSecret {
        key: Some(key),
        ..stored.clone()
    }))
}
