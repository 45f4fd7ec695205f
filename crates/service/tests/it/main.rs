//! A small service through its own gRPC, on a real Postgres.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

mod admin;
mod calls;
mod cli;
mod codec;
mod consumer;
mod drain;
mod feed;
mod peers;
mod probe;
mod slow;
mod support;
mod trace;
mod web;
