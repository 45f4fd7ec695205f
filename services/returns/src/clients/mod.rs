//! What the service needs of its peers.

mod order;
mod shipping;

pub(crate) use order::OrderClient;
pub(crate) use shipping::ShippingClient;
