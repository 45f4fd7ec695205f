//! Being a good citizen: configuration, gRPC server and client stacks, errors, health, drain, event feed.
//!
//! The README shows a service author how to write `config.rs`, `app.rs`, `main.rs` and `api/` with it.
//!
//! - [`config`]: layers, and the sections that every service has.
//! - [`Program`], [`Setup`], [`cli::run`], [`ServiceHandle`]: a service as a program, alone or beside
//!   others in one process.
//! - the server: one stack around all gRPC services: request id, trace, metrics, limits, deadline,
//!   authentication, authorisation, handler; then the completion of errors. Health, reflection,
//!   grpc-web and the event feed are served without anybody asking.
//! - [`ApiError`], [`PeerError`]: errors as they travel, out and in.
//! - [`PeerChannel`]: calls of peers.
//! - [`principal`], [`access`], [`request_id`], [`fingerprint`], [`PageToken`], [`page_size`], [`etag`]: what
//!   every RPC needs.
//! - [`consumer`]: what a service does with the events of others.

mod auth;
mod background;
mod breaker;
pub mod cli;
pub mod client;
pub mod config;
pub mod consumer;
mod details;
mod error;
mod gate;
mod handle;
mod names;
mod observe;
mod page;
mod peer_error;
mod program;
mod reach;
mod ready;
mod request;
mod server;
mod setup;
mod tls;

pub use auth::api_keys::{IssuedApiKey, NewApiKey, issue_api_key};
pub use auth::config::{ApiKeysConfig, AuthConfig, JwtConfig, Quota, is_loopback};
pub use client::{Credentials, PeerChannel, Secret};
pub use config::{Common, ConfigError, Layers, PeerConfig, ServerConfig};
pub use consumer::{ApplyError, Batch, EpochPolicy, FeedConsumer};
pub use details::FieldViolation;
pub use error::{ApiError, reason_from_name, reason_name};
pub use gate::{Gate, Pass};
pub use handle::ServiceHandle;
pub use page::PageToken;
pub use peer_error::PeerError;
pub use program::{AnyProgram, Program, Runtime, StartError};
pub use reach::{channels, check_channel, check_location, locations};
pub use request::{
    PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX, access, check_etag, etag, fingerprint, page_size, parse_etag,
    parse_request_id, principal, request_id,
};
pub use server::{NoScope, Unproved};
pub use setup::Setup;
pub use tls::TlsConfig;
