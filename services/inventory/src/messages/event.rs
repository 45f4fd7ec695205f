//! Events of the inventory service: type and bytes.

use oms_core::Sku;
use oms_proto::inventory::v1 as pb;
use oms_proto::inventory::v1::inventory_event::Event as Message;
use prost::Message as _;

use crate::domain::effect::Fact;
use crate::domain::item::Item;
use crate::domain::location::Location;
use crate::domain::standing::{Signal, SignalKind};
use crate::domain::told::StockFact;

use super::reservation::allocated;
use super::{expected_receipt, item, level, location, reservation, stock_policy};

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

/// Something that the lane of a SKU tells.
pub(super) fn stock_fact(sku: &Sku, fact: &StockFact) -> (&'static str, Vec<u8>) {
    encode(match fact {
        StockFact::Changed(levels) => Message::StockChanged(pb::StockChanged {
            sku: sku.to_string(),
            levels: levels.iter().map(level).collect(),
        }),
        StockFact::Policy(written) => Message::StockPolicyChanged(pb::StockPolicyChanged {
            policy: Some(stock_policy(written)),
        }),
        StockFact::Expected(written) => Message::ExpectedSupplyChanged(pb::ExpectedSupplyChanged {
            receipt: Some(expected_receipt(written)),
        }),
        StockFact::Signal(signal) => crossing(sku, signal),
    })
}

fn crossing(sku: &Sku, signal: &Signal) -> Message {
    let sku = sku.to_string();
    let location = signal.location.as_ref().map(ToString::to_string);
    let location_id = location.unwrap_or_default();
    match signal.kind {
        SignalKind::LowStock => Message::LowStock(pb::LowStock {
            sku,
            location_id,
            available_to_promise: signal.promisable,
            low_stock_threshold: signal.threshold,
        }),
        SignalKind::OutOfStock => Message::OutOfStock(pb::OutOfStock { sku, location_id }),
        SignalKind::BackInStock => Message::BackInStock(pb::BackInStock {
            sku,
            location_id,
            available_to_promise: signal.promisable,
        }),
    }
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
