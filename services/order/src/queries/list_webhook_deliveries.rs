//! Deliveries of webhooks, newest events first.

use uuid::Uuid;

use crate::ctx::Ctx;
use crate::domain::webhook::{Delivery, DeliveryFilter};
use crate::error::Error;
use crate::store::{webhook_deliveries, webhook_endpoints};

/// Deliveries that the filter selects, after a position. The filter names an endpoint or an event.
pub(crate) async fn list_webhook_deliveries(
    ctx: &Ctx,
    filter: &DeliveryFilter,
    after: Option<(i64, Uuid)>,
    limit: i64,
) -> Result<Vec<Delivery>, Error> {
    let mut conn = ctx.db.snapshot().await?;
    if let Some(endpoint_id) = filter.endpoint_id {
        let found = webhook_endpoints::load(&mut conn, endpoint_id).await?;
        found.ok_or_else(|| Error::webhook_endpoint_not_found(endpoint_id))?;
    }
    Ok(webhook_deliveries::list(&mut conn, filter, after, limit).await?)
}
