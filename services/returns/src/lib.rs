//! The returns service.
