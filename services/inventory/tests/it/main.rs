//! The inventory service through its own gRPC, on real Postgres and Redis.

mod backorders;
mod bad_input;
mod catalogue;
mod feeds;
mod peers;
mod races;
mod replays;
mod reservations;
mod rig;
mod stock;
