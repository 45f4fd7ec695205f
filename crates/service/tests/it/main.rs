//! A small service through its own gRPC, on a real Postgres.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

mod abuse;
mod admin;
mod api_keys;
mod calls;
mod cli;
mod codec;
mod consumer;
mod drain;
mod feed;
mod issuer;
mod peers;
mod probe;
mod slow;
mod support;
mod tls;
mod tokens;
mod trace;
mod web;
