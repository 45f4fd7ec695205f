//! gRPC: requests to commands and queries, domain to messages, errors to statuses. No rule lives here.

pub(crate) mod error;
