//! The rules of shipping: pure functions over plain values.

pub(crate) mod effect;
pub(crate) mod label;
pub(crate) mod rates;
pub(crate) mod shipment;
pub(crate) mod state;
pub(crate) mod tracking;
pub(crate) mod tracking_number;
