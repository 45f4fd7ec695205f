//! What the whole-suite tests share: a suite of their own, and the verbs of shop, floor, dock and desk.
//!
//! Every test starts private engines and all services, so tests share nothing and may run side by side.

pub mod books;
pub mod crash;
pub mod desk;
pub mod dice;
pub mod floor;
pub mod nodes;
pub mod process;
pub mod provider;
pub mod replicas;
pub mod shop;
pub mod soak;
pub mod suite;
pub mod summary;
pub mod wire;

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

/// So many seconds.
pub fn seconds(seconds: i64) -> prost_types::Duration {
    prost_types::Duration { seconds, nanos: 0 }
}

/// A method of the contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Method {
    /// Name without the service.
    pub name: &'static str,
    /// Whether its request has a `request_id`, which every mutating method's has.
    pub has_request_id: bool,
}

/// Every method of the contract.
///
/// # Panics
/// When the descriptor set cannot be read, which its build makes impossible.
#[expect(
    clippy::expect_used,
    reason = "a test without the contract cannot go on"
)]
pub fn descriptors() -> Vec<Method> {
    let pool = prost_reflect::DescriptorPool::decode(oms_proto::FILE_DESCRIPTOR_SET)
        .expect("the descriptor set is readable");
    let of = |path: &'static str| {
        let name = path.rsplit('/').next().unwrap_or(path);
        let method = pool
            .services()
            .flat_map(|service| service.methods().collect::<Vec<_>>())
            .find(|method| {
                format!("/{}/{}", method.parent_service().full_name(), method.name()) == path
            });
        let has_request_id =
            method.is_some_and(|method| method.input().get_field_by_name("request_id").is_some());
        Method {
            name,
            has_request_id,
        }
    };
    oms_proto::METHODS
        .iter()
        .map(|(path, _)| of(path))
        .collect()
}
