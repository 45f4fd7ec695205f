//! The `oms` command: the whole suite on one machine, a demonstration, and the verifier.
//!
//! | module | what it is |
//! |---|---|
//! | [`suite`] | private engines and the services in one process; the tests start it too |
//! | [`clients`] | a client for every gRPC service |
//! | `connection` | how commands reach services that want TLS and a token |
//! | `demo` | retail orders taken to cash by bots that use the public API only |
//! | `feed` | a service's event feed, for people, scripts and connectors |
//! | `bench` | how fast things are, beside what the same work costs without the services |
//! | `identity` | keys of partners, and tokens for development |
//! | [`verify`] | the verifier: what must be true of the five databases, with SQL of its own |
//! | [`audit`] | audit logs, checked from their first row on and written out |
//! | [`repair`] | mends what the restore of one database left behind |
//! | [`smoke`] | one real order through a running suite, and back |
//! | `up`, `sandbox_psp`, `cli` | the commands |

pub mod audit;
mod bench;
pub mod cli;
pub mod clients;
mod connection;
mod demo;
mod feed;
mod identity;
pub mod repair;
mod sandbox_psp;
pub mod smoke;
pub mod suite;
mod up;
pub mod verify;
