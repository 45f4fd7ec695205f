//! What can be stocked.

use std::collections::BTreeSet;

use oms_core::Sku;
use time::OffsetDateTime;

use super::kit::Part;

/// An item as a warehouse needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    /// Stock keeping unit.
    pub(crate) sku: Sku,
    /// Name for people, 1 to 200 characters.
    pub(crate) name: String,
    /// Barcodes that scan as this item, sorted.
    pub(crate) barcodes: Vec<String>,
    /// Length, width and height of one unit in millimetres; 0 when not known.
    pub(crate) dimensions_mm: [i64; 3],
    /// Mass of one unit in grams.
    pub(crate) mass_grams: i64,
    /// False when no new order may take it.
    pub(crate) active: bool,
    /// What it is made of, each component once; empty when it is no kit.
    pub(crate) parts: Vec<Part>,
    /// Most units that may wait for stock; `None` for any number.
    pub(crate) backorder_max: Option<i64>,
    /// From when it is expected to be in stock; `None` when not known.
    pub(crate) available_from: Option<OffsetDateTime>,
    /// Version; 0 before it is stored.
    pub(crate) version: i64,
}

impl Item {
    /// Version as a kit, if this version sets what it is made of; 0 when it is none.
    pub(crate) fn kit_version(&self) -> i64 {
        if self.parts.is_empty() {
            0
        } else {
            self.version
        }
    }

    /// Whether the lanes have to know of the difference to another version.
    pub(crate) fn sells_like(&self, other: &Self) -> bool {
        let policy = |item: &Self| (item.backorder_max, item.available_from);
        self.made_of() == other.made_of() && policy(self) == policy(other)
    }

    fn made_of(&self) -> BTreeSet<&Part> {
        self.parts.iter().collect()
    }
}
