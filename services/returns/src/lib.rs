//! The returns service: return authorisations, receipts, inspections, dispositions and what they refund.
//!
//! Where the goods are and where the money is are told apart: a refund may precede the goods, and goods may
//! come without a refund.
//!
//! | room | what is in it |
//! |---|---|
//! | `domain` | the rules: state machine, counters, refund points |
//! | `commands` | one file per use case, each one transaction |
//! | `queries` | one file per read |
//! | `store` | the only SQL |
//! | `changes` | the one way in which a return changes: one version, one event |
//! | `clients` | order (what was shipped) and shipping (return labels) |
//! | `consumers` | refunds that order paid, scans of return packages |
//! | `messages` | returns and their facts as messages, for answers and events |
//! | `api` | gRPC to commands and back |

mod api;
mod app;
mod changes;
mod clients;
mod commands;
mod config;
mod consumers;
mod ctx;
mod domain;
mod error;
mod messages;
mod queries;
mod store;

pub use app::Returns;
pub use config::Config;
