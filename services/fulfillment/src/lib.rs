//! The fulfillment service.
