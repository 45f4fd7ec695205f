//! One file per read.

pub(crate) mod get_order;
pub(crate) mod get_order_address;
pub(crate) mod get_order_timeline;
pub(crate) mod list_channels;
pub(crate) mod list_holds;
pub(crate) mod list_orders;
