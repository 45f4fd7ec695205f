//! What the whole-suite tests share: a suite of their own, and the verbs of shop, floor, dock and desk.
//!
//! Every test starts private engines and all services, so tests share nothing and may run side by side.

pub mod desk;
pub mod floor;
pub mod nodes;
pub mod shop;
pub mod suite;

use oms_proto::common::v1::Money;
use uuid::Uuid;

/// A request id that nobody used before.
pub fn fresh_id() -> String {
    oms_core::IdSource::next(&oms_core::SystemIds).to_string()
}

/// A request id that is the same for the same text.
pub fn id(text: &str) -> String {
    oms_core::derive(Uuid::NAMESPACE_OID, text).to_string()
}

/// Dollars and cents.
pub fn usd(minor_units: i64) -> Money {
    Money {
        currency_code: "USD".to_owned(),
        minor_units,
    }
}
