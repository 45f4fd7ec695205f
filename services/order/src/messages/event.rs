//! Events of the order service.

use oms_core::FulfillmentOrderId;
use oms_proto::order::v1 as pb;
use oms_proto::order::v1::order_event::Event as Message;
use prost::Message as _;

use super::{cancellation, hold, order as order_message, payment};
use crate::domain::cancellation::Cancellation;
use crate::domain::new_order::Channel;
use crate::domain::order::{Hold, Order};
use crate::domain::payment::Payment;

/// What happened to an order, as its subscribers hear it.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// It was accepted.
    Placed,
    /// It was confirmed.
    Confirmed,
    /// It was rejected, canceled, expired or completed.
    Ended,
    /// Units were canceled.
    LinesCanceled(Cancellation),
    /// Fulfillment orders were created.
    Released(Vec<FulfillmentOrderId>),
    /// A hold was placed.
    HoldPlaced(Hold),
    /// A hold was released.
    HoldReleased(Hold),
    /// A payment transaction succeeded or failed.
    PaymentSettled(Payment),
    /// Money of a return was paid back, or an invoice was issued: the message as its room made it.
    Message(Box<Message>),
    /// Instructions or custom fields changed.
    Updated,
    /// Counters of lines moved; what moved, such as `shipped`.
    Progressed(&'static str),
}

/// The type and the bytes of an event about the order as it is after the change.
pub(crate) fn event(order: &Order, event: &Event) -> (&'static str, Vec<u8>) {
    let message = pb::OrderEvent {
        event: Some(message(order, event)),
    };
    (message.event_type(), message.encode_to_vec())
}

/// The type and the bytes of the event that a channel was created or changed.
pub(crate) fn channel_event(channel: &Channel) -> (&'static str, Vec<u8>) {
    let channel = Some(super::channel(channel));
    let message = pb::OrderEvent {
        event: Some(Message::ChannelUpserted(pb::ChannelUpserted { channel })),
    };
    (message.event_type(), message.encode_to_vec())
}

fn message(order: &Order, event: &Event) -> Message {
    let order_id = order.order_id;
    let whole = || {
        let mut told = order_message(order);
        // What one person writes to another is for whoever packs it, not for every subscriber.
        for line in &mut told.lines {
            line.gift_message.clear();
        }
        for hold in &mut told.holds {
            hold.note.clear();
        }
        Some(told)
    };
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
            hold: Some(without_note(hold(order_id, placed))),
        }),
        Event::HoldReleased(released) => Message::HoldReleased(pb::HoldReleased {
            hold: Some(without_note(hold(order_id, released))),
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

/// Notes are for who works on the order: `GetOrder` tells them, until the customer is erased.
fn without_note(hold: pb::Hold) -> pb::Hold {
    pb::Hold {
        note: String::new(),
        ..hold
    }
}
