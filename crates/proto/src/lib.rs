//! The public contract as Rust: generated messages and services, descriptor set, scopes.
