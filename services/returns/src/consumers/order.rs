//! Events of the order service: refunds that were paid.

use oms_core::OrderLineId;
use oms_proto::events::v1::Event;
use oms_proto::order::v1 as order;
use oms_proto::order::v1::order_event::Event as OrderFact;
use oms_service::ApplyError;
use prost::Message;
use sqlx::PgConnection;

use crate::commands::{self, PaidRefund};
use crate::ctx::Ctx;

/// Books a refund on its return; other events do not matter here.
pub(crate) async fn on_order_event(
    ctx: &Ctx,
    conn: &mut PgConnection,
    event: &Event,
) -> Result<(), ApplyError> {
    let payload = order::OrderEvent::decode(event.payload.as_slice())?;
    let Some(OrderFact::ReturnRefunded(refund)) = payload.event else {
        return Ok(());
    };
    let mut units: Vec<(OrderLineId, i64)> = Vec::new();
    for line in &refund.lines {
        units.push((parse(&line.order_line_id)?, line.quantity));
    }
    let paid = PaidRefund {
        refund_id: parse(&refund.refund_id)?,
        return_id: parse(&refund.return_id)?,
        minor: refund.amount.map_or(0, |amount| amount.minor_units),
        units,
    };
    let actor = super::actor(&event.actor)?;
    commands::record_refund(ctx, conn, &paid, &actor)
        .await
        .map_err(super::apply_error)
}

fn parse<T: std::str::FromStr>(text: &str) -> Result<T, ApplyError> {
    text.parse()
        .map_err(|_| ApplyError::rejected(format!("{text:?} is no id")))
}
