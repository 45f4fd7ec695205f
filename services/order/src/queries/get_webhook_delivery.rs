//! One delivery of a webhook with its attempts.

use uuid::Uuid;

use crate::ctx::Ctx;
use crate::domain::webhook::{Attempt, Delivery};
use crate::error::Error;
use crate::store::webhook_deliveries;

/// The delivery and its attempts, oldest first.
pub(crate) async fn get_webhook_delivery(
    ctx: &Ctx,
    delivery_id: Uuid,
) -> Result<(Delivery, Vec<Attempt>), Error> {
    let mut conn = ctx.db.snapshot().await?;
    let found = webhook_deliveries::load(&mut conn, delivery_id).await?;
    let delivery = found.ok_or_else(|| Error::NotFound {
        resource: "webhook_delivery",
        id: delivery_id.to_string(),
    })?;
    let attempts = webhook_deliveries::attempts(&mut conn, delivery_id).await?;
    Ok((delivery, attempts))
}
