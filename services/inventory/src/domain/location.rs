//! Where stock stands.

use oms_core::LocationId;
use oms_core::geo::Point;

/// A place that holds stock.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Location {
    /// Id.
    pub(crate) id: LocationId,
    /// Name for people.
    pub(crate) name: String,
    /// Address of the place of business.
    pub(crate) address: Address,
    /// Where it is on the map.
    pub(crate) point: Point,
    /// False when nothing new may be sourced from it.
    pub(crate) active: bool,
    /// Version; 0 before it is stored.
    pub(crate) version: i64,
}

/// The sender on labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// Name of the company.
    pub(crate) recipient: String,
    /// Street lines.
    pub(crate) lines: Vec<String>,
    /// City.
    pub(crate) locality: String,
    /// State or province.
    pub(crate) administrative_area: String,
    /// Postal code.
    pub(crate) postal_code: String,
    /// ISO 3166-1 alpha-2 code.
    pub(crate) country_code: String,
    /// Telephone number; may be empty.
    pub(crate) phone: String,
    /// E-mail address; may be empty.
    pub(crate) email: String,
}
