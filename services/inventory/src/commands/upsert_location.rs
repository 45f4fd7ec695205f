//! Creates or replaces a location.

use oms_postgres::{idempotency, outbox};

use crate::domain::location::Location;
use crate::messages::{self, Stamp};
use crate::store;

use super::{Call, Ctx, Error};

/// Writes the location and answers it as it is now.
pub(crate) async fn upsert_location(
    ctx: &Ctx,
    call: Call,
    location: Location,
) -> Result<Location, Error> {
    let (call, location) = (&call, &location);
    ctx.db
        .run_tx("upsert_location", |tx| {
            Box::pin(async move {
                let key = call.key();
                if idempotency::check(tx, &key).await?.is_some() {
                    let found = store::locations::get(tx, &location.id).await?;
                    return found.ok_or(Error::Conflict);
                }
                let now = ctx.clock.now();
                let version = store::locations::upsert(tx, location, now).await?;
                let written = Location {
                    version,
                    ..location.clone()
                };
                let actor = call.principal.to_string();
                let stamp = Stamp {
                    ids: &*ctx.ids,
                    actor: &actor,
                    now,
                };
                outbox::append(tx, &messages::of_location(stamp, &written)).await?;
                idempotency::record(tx, &key, written.id.as_str()).await?;
                Ok(written)
            })
        })
        .await
}
