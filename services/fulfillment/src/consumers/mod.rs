//! What the service does with other services' events.

mod shipping;

pub(crate) use shipping::{TYPES as SHIPPING_TYPES, on_shipping_event};
