//! What can be stocked.

use oms_core::Sku;

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
    /// Version; 0 before it is stored.
    pub(crate) version: i64,
}
