//! The service's gRPC: messages to commands, returns to messages, errors to status. No rule lives here.

mod error;
mod read;
mod return_service;

pub(crate) use return_service::ReturnApi;
