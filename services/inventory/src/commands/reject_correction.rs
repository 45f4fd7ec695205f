//! Turns a proposed correction down.

use oms_core::CorrectionId;
use oms_postgres::idempotency;
use sqlx::PgConnection;

use crate::domain::correction::{Correction, CorrectionAction, Decided};
use crate::domain::refusal::Refusal;
use crate::store;

use super::{Call, Ctx, Error};

/// What somebody turns down.
#[derive(Debug, Clone)]
pub(crate) struct RejectCorrection {
    /// Correction.
    pub(crate) id: CorrectionId,
    /// Version that the caller has read; `None` for any.
    pub(crate) version: Option<i64>,
    /// Why, in words.
    pub(crate) note: String,
}

/// Changes nothing but the correction, so it needs no lane.
pub(crate) async fn reject_correction(
    ctx: &Ctx,
    call: Call,
    reject: RejectCorrection,
) -> Result<Correction, Error> {
    let (call, reject) = (&call, &reject);
    ctx.db
        .run_tx("reject_correction", |tx| {
            Box::pin(async move {
                let key = call.key();
                let is_repeat = idempotency::check(tx, &key).await?.is_some();
                let mut locked = store::corrections::lock(tx, &[reject.id.uuid()]).await?;
                let found = locked.pop().ok_or(Refusal::UnknownCorrection(reject.id))?;
                if is_repeat {
                    return Ok(found);
                }
                let rejected = decide(tx, ctx, call, reject, &found).await?;
                idempotency::record(tx, &key, &reject.id.to_string()).await?;
                Ok(rejected)
            })
        })
        .await
}

async fn decide(
    conn: &mut PgConnection,
    ctx: &Ctx,
    call: &Call,
    reject: &RejectCorrection,
    found: &Correction,
) -> Result<Correction, Error> {
    if reject.version.is_some_and(|read| read != found.version) {
        let version = found.version;
        return Err(Refusal::CorrectionChanged { version }.into());
    }
    let decided = Decided {
        by: call.principal.to_string(),
        at: ctx.clock.now(),
        note: reject.note.clone(),
    };
    let action = CorrectionAction::Reject;
    let rejected = found
        .after(action, decided)
        .ok_or(Refusal::CorrectionDecided {
            state: found.state,
            action: action.as_str(),
        })?;
    store::corrections::decide(conn, &rejected).await?;
    Ok(rejected)
}
