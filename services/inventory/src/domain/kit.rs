//! Items that are sold as one and stand on the shelf as several.

use oms_core::Sku;

/// What one kit is made of, as it was set with a version of its item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kit {
    /// The version.
    pub(crate) version: i64,
    /// Its components, each once, by SKU; at least one.
    pub(crate) parts: Vec<Part>,
}

/// A component of a kit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Part {
    /// SKU; never a kit itself.
    pub(crate) sku: Sku,
    /// Units in one kit, above zero.
    pub(crate) quantity: i64,
}
