//! One file per read.

pub(crate) mod get_shipment;
pub(crate) mod list_shipments;
pub(crate) mod list_tracking_events;
pub(crate) mod location_of;

pub(crate) use crate::store::StoreError as Error;
