//! The inventory service.

mod domain;
