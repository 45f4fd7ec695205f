//! What the service does with the events of others. Each runs in the consumer's transaction, whose cursor makes
//! it happen once.

mod order;
mod shipping;

pub(crate) use order::on_order_event;
pub(crate) use shipping::on_shipping_event;

use oms_core::{Principal, PrincipalKind};
use oms_service::ApplyError;

use crate::error::Error;

/// Who acts when an event of a peer is applied: whoever caused it, as the event tells.
fn actor(text: &str) -> Result<Principal, ApplyError> {
    match text.parse() {
        Ok(principal) => Ok(principal),
        Err(_) => Principal::try_new(PrincipalKind::Service, "returns")
            .map_err(|error| ApplyError::rejected(error.to_string())),
    }
}

/// A failure of the database is tried again; anything else means that the event makes no sense here.
fn apply_error(error: Error) -> ApplyError {
    match error {
        Error::Postgres(error) => error.into(),
        other => ApplyError::rejected(other),
    }
}
