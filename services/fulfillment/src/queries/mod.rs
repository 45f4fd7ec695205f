//! One file per read.

pub(crate) mod explain_decision;
pub(crate) mod get_fulfillment_order;
pub(crate) mod get_pack_session;
pub(crate) mod get_packing_slip;
pub(crate) mod get_pick_list;
pub(crate) mod get_pick_list_document;
pub(crate) mod get_wave;
pub(crate) mod list_fulfillment_orders;
pub(crate) mod list_pick_lists;
pub(crate) mod location_of;

use time::OffsetDateTime;
use uuid::Uuid;

/// Where a page ends: time of creation and id of its last row.
pub(crate) type Position = (OffsetDateTime, Uuid);

/// A printable file.
pub(crate) struct Document {
    /// A file name for people.
    pub(crate) file_name: String,
    /// The bytes of the PDF.
    pub(crate) pdf: Vec<u8>,
}
