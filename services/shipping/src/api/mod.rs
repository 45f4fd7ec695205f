//! tonic: messages to commands, shipments to messages, errors to status. No rule lives here.

pub(crate) mod carrier_webhooks;
mod error;
mod rate_service;
mod reach;
mod read;
mod shipment_service;
mod tracking_service;

pub(crate) use rate_service::RateApi;
pub(crate) use shipment_service::ShipmentApi;
pub(crate) use tracking_service::TrackingApi;
