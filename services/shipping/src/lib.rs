//! The shipping service.

mod domain;
