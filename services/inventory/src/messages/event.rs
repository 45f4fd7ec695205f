//! Events of the inventory service: type and bytes.

use oms_core::Sku;
use oms_proto::inventory::v1 as pb;
use oms_proto::inventory::v1::inventory_event::Event as Message;
use prost::Message as _;

use crate::domain::effect::Fact;
use crate::domain::item::Item;
use crate::domain::level::Level;
use crate::domain::location::Location;

use super::reservation::allocated;
use super::{item, level, location, reservation};

/// Something that happened to a reservation.
pub(super) fn fact(fact: &Fact) -> (&'static str, Vec<u8>) {
    encode(match fact {
        Fact::Changed {
            reservation: changed,
            action,
        } => Message::ReservationChanged(pb::ReservationChanged {
            reservation: Some(reservation(changed)),
            action: (*action).to_owned(),
        }),
        Fact::BackorderAllocated {
            reservation: served,
            allocated: units,
        } => Message::BackorderAllocated(pb::BackorderAllocated {
            order_id: served.order.map(|id| id.to_string()).unwrap_or_default(),
            reservation_id: served.id.to_string(),
            lines: units.iter().map(allocated).collect(),
        }),
    })
}

/// Levels of a SKU changed.
pub(super) fn stock_changed(sku: &Sku, levels: &[Level]) -> (&'static str, Vec<u8>) {
    encode(Message::StockChanged(pb::StockChanged {
        sku: sku.to_string(),
        levels: levels.iter().map(level).collect(),
    }))
}

/// An item was created or changed.
pub(super) fn item_upserted(changed: &Item) -> (&'static str, Vec<u8>) {
    encode(Message::ItemUpserted(pb::ItemUpserted {
        item: Some(item(changed)),
    }))
}

/// A location was created or changed.
pub(super) fn location_upserted(changed: &Location) -> (&'static str, Vec<u8>) {
    encode(Message::LocationUpserted(pb::LocationUpserted {
        location: Some(location(changed)),
    }))
}

fn encode(event: Message) -> (&'static str, Vec<u8>) {
    let message = pb::InventoryEvent { event: Some(event) };
    (message.event_type(), message.encode_to_vec())
}
