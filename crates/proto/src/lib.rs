//! The public contract as Rust: generated messages and services, descriptor set, scopes, events as CloudEvents.
//!
//! The modules follow the packages of `proto/`: `oms.order.v1` is [`order::v1`]. Everything is made
//! by the build script from the files that are there, so a new file or package needs nothing here.

mod cloud_event;
#[cfg(test)]
mod fuzz;
mod redacted;
mod time;

#[allow(
    missing_docs,
    unreachable_pub,
    unused_lifetimes,
    elided_lifetimes_in_paths,
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/modules.rs"));

    mod event_types {
        use super::oms::*;
        include!(concat!(env!("OUT_DIR"), "/event_types.rs"));
    }

    mod mutations {
        use super::oms::*;
        include!(concat!(env!("OUT_DIR"), "/mutations.rs"));
    }
}

pub use cloud_event::{CloudEventError, CloudEvents};
pub use generated::oms::*;
pub use time::{TimeOutOfRange, time_from_proto, time_to_proto};

/// A request with a `request_id`: of an RPC that changes something.
pub trait Mutation: prost::Message {
    /// Why, for the audit log: the code in the field `reason`, of an enum the name of its value; empty when there is none, and
    /// when people may write there what they like.
    fn why(&self) -> &str;
}

/// The encoded `google.protobuf.FileDescriptorSet` of the whole contract with its imports and
/// without comments, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// Every method as (path, required scope), sorted by path: (`/oms.order.v1.OrderService/PlaceOrder`,
/// `orders.write`).
pub const METHODS: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/methods.rs"));

/// The scope a caller needs for the method with this path; `None` for what is not ours.
pub fn scope_of(path: &str) -> Option<&'static str> {
    let found = METHODS.binary_search_by_key(&path, |(path, _)| path).ok()?;
    METHODS.get(found).map(|(_, scope)| *scope)
}

/// Paths of the methods that callers bound to locations may call, sorted: they keep to those locations.
pub const BOUND_BY_LOCATION: &[&str] = include!(concat!(env!("OUT_DIR"), "/bound_by_location.rs"));

/// Paths of the methods that callers bound to channels may call, sorted: they keep to those channels.
pub const BOUND_BY_CHANNEL: &[&str] = include!(concat!(env!("OUT_DIR"), "/bound_by_channel.rs"));

#[cfg(test)]
mod tests {
    use prost_reflect::DescriptorPool;

    use super::*;

    #[test]
    fn scopes_are_found_by_path() {
        assert_eq!(
            scope_of("/oms.events.v1.EventFeedService/Subscribe"),
            Some("events.read")
        );
        assert_eq!(scope_of("/oms.events.v1.EventFeedService/Unknown"), None);
        assert_eq!(scope_of("/grpc.health.v1.Health/Check"), None);
        assert_eq!(scope_of(""), None);
    }

    #[test]
    fn events_know_their_type() {
        use shipping::v1::{ShipmentShipped, ShippingEvent, shipping_event::Event};

        let event = Some(Event::ShipmentShipped(ShipmentShipped::default()));
        assert_eq!(ShippingEvent { event }.event_type(), "ShipmentShipped");
        assert_eq!(ShippingEvent::default().event_type(), "");
    }

    #[test]
    fn codes_say_why_and_what_people_write_does_not() {
        use order::v1::{CancelOrderRequest, HoldReason, PlaceHoldRequest, RefundPaymentRequest};

        let cancel = CancelOrderRequest {
            reason: "CUSTOMER".to_owned(),
            note: "Claire moves out".to_owned(),
            ..CancelOrderRequest::default()
        };
        assert_eq!(cancel.why(), "CUSTOMER");
        let hold = PlaceHoldRequest {
            reason: HoldReason::IncorrectAddress.into(),
            ..PlaceHoldRequest::default()
        };
        assert_eq!(hold.why(), "HOLD_REASON_INCORRECT_ADDRESS");
        let refund = RefundPaymentRequest {
            reason: "Claire was not at home".to_owned(),
            ..RefundPaymentRequest::default()
        };
        assert_eq!(refund.why(), "");
    }

    #[test]
    fn every_method_is_in_the_table_once_and_in_order() {
        assert!(METHODS.is_sorted_by(|one, two| one.0 < two.0));
        assert!(
            METHODS
                .iter()
                .all(|(path, scope)| path.starts_with("/oms.") && !scope.is_empty())
        );
        let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap();
        let declared: usize = pool.services().map(|service| service.methods().len()).sum();
        assert_eq!(METHODS.len(), declared);
    }

    #[test]
    fn the_descriptor_set_is_complete_and_keeps_the_scope_option() {
        // Decoding fails when an import is missing.
        let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap();
        assert!(
            pool.get_file_by_name("google/protobuf/timestamp.proto")
                .is_some()
        );
        assert!(
            pool.get_extension_by_name("oms.common.v1.required_scope")
                .is_some()
        );
        let commented = pool
            .file_descriptor_protos()
            .any(|file| file.source_code_info.is_some());
        assert!(!commented);
    }
}
