//! The fulfillment service.

mod domain;
mod store;
