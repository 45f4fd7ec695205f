//! Personal data and its erasure.

use oms_proto::common::v1::PostalAddress;
use oms_proto::order::v1 as pb;
use oms_proto::order::v1::order_event::Event as Message;
use oms_proto::time_to_proto;
use prost::Message as _;

use crate::domain::address::Address;
use crate::domain::erasure::{Erasure, Subject};

/// An address, for the answer to who may read it.
pub(crate) fn address(address: Address) -> PostalAddress {
    PostalAddress {
        recipient: address.recipient,
        address_lines: address.address_lines,
        locality: address.locality,
        administrative_area: address.administrative_area,
        postal_code: address.postal_code,
        country_code: address.country_code,
        phone: address.phone,
        email: address.email,
    }
}

/// The type and the bytes of the event that tells a channel that personal data was erased.
pub(crate) fn customer_erased(
    subject: &Subject,
    erasure: &Erasure,
    channel_id: &str,
) -> (&'static str, Vec<u8>) {
    let (customer_id, order_id) = match subject {
        Subject::Customer(customer_id) => (customer_id.clone(), String::new()),
        Subject::Order(order_id) => (String::new(), order_id.to_string()),
    };
    let message = pb::OrderEvent {
        event: Some(Message::CustomerErased(pb::CustomerErased {
            customer_id,
            order_id,
            erase_time: Some(time_to_proto(erasure.erased_at)),
            channel_id: channel_id.to_owned(),
        })),
    };
    (message.event_type(), message.encode_to_vec())
}
