//! The shipping service.

mod domain;
mod store;
