//! Money that the carrier takes at the door.

use oms_core::{OrderId, PaymentId, ShipmentId};
use time::OffsetDateTime;

/// Name of the provider whose money is collected at delivery.
pub(crate) const CASH_ON_DELIVERY: &str = "cash_on_delivery";

/// What became of the money of a shipment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum CollectionState {
    /// To be collected.
    Due,
    /// Collected: it is captured.
    Collected,
    /// The customer refused the parcel or the money; nothing is captured.
    Refused,
}

impl CollectionState {
    /// The name that the database and the proto enum use.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Due => "DUE",
            Self::Collected => "COLLECTED",
            Self::Refused => "REFUSED",
        }
    }

    /// Reads the name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::Due, Self::Collected, Self::Refused]
            .into_iter()
            .find(|state| state.as_str() == name)
    }
}

/// What the carrier is to collect with a shipment: one per order and shipment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Collection {
    /// Order.
    pub(crate) order_id: OrderId,
    /// Shipment.
    pub(crate) shipment_id: ShipmentId,
    /// Authorization that its capture draws from.
    pub(crate) authorization: PaymentId,
    /// Cause of its capture, such as `shipment/<id>/2`.
    pub(crate) cause: String,
    /// Amount in minor units, above zero.
    pub(crate) amount: i64,
    /// State.
    pub(crate) state: CollectionState,
    /// Who recorded what became of it; empty while it is due.
    pub(crate) recorded_by: String,
    /// When it became due.
    pub(crate) created_at: OffsetDateTime,
    /// When it changed last.
    pub(crate) updated_at: OffsetDateTime,
}
