//! What filters of webhooks, and accounts of credit, may name.

use oms_core::Violations;
use sqlx::PgConnection;

use crate::error::Error;
use crate::store::channels;

/// Fails when a channel does not exist. `part` is where the list stands in the request, such as `endpoint.`.
pub(super) async fn check_filters(
    conn: &mut PgConnection,
    part: &str,
    channel_ids: &[String],
) -> Result<(), Error> {
    let mut violations = Violations::default();
    for (n, channel_id) in channel_ids.iter().enumerate() {
        let is_known = channels::load(conn, channel_id).await?.is_some();
        let field = format!("{part}channel_ids[{n}]");
        violations.check(is_known, field, "CHANNEL_UNKNOWN", "is not a channel");
    }
    Ok(violations.into_result()?)
}
