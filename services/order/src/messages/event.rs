//! Events of the order service.

use oms_core::FulfillmentOrderId;
use oms_proto::order::v1 as pb;
use oms_proto::order::v1::order_event::Event as Message;
use prost::Message as _;

use super::{cancellation, hold, order as order_message, payment};
use crate::changes::Event;
use crate::domain::order::Order;

/// The type and the bytes of an event about the order as it is after the change.
pub(crate) fn event(order: &Order, event: &Event) -> (&'static str, Vec<u8>) {
    let message = pb::OrderEvent {
        event: Some(message(order, event)),
    };
    (message.event_type(), message.encode_to_vec())
}

fn message(order: &Order, event: &Event) -> Message {
    let order_id = order.order_id;
    let whole = || Some(order_message(order));
    match event {
        Event::Placed => Message::OrderPlaced(pb::OrderPlaced { order: whole() }),
        Event::Confirmed => Message::OrderConfirmed(pb::OrderConfirmed { order: whole() }),
        Event::Ended => Message::OrderEnded(pb::OrderEnded { order: whole() }),
        Event::Updated => Message::OrderUpdated(pb::OrderUpdated { order: whole() }),
        Event::LinesCanceled(canceled) => Message::OrderLinesCanceled(pb::OrderLinesCanceled {
            order_id: order_id.to_string(),
            cancellation: Some(cancellation(canceled)),
        }),
        Event::Released(ids) => Message::OrderReleased(pb::OrderReleased {
            order_id: order_id.to_string(),
            fulfillment_order_ids: ids.iter().map(FulfillmentOrderId::to_string).collect(),
        }),
        Event::HoldPlaced(placed) => Message::HoldPlaced(pb::HoldPlaced {
            hold: Some(hold(order_id, placed)),
        }),
        Event::HoldReleased(released) => Message::HoldReleased(pb::HoldReleased {
            hold: Some(hold(order_id, released)),
        }),
        Event::PaymentSettled(settled) => Message::PaymentSettled(pb::PaymentSettled {
            payment: Some(payment(settled)),
        }),
        Event::Progressed(counter) => Message::OrderProgressed(pb::OrderProgressed {
            order_id: order_id.to_string(),
            counter: (*counter).to_owned(),
            order: whole(),
        }),
        Event::Message(message) => (**message).clone(),
    }
}
