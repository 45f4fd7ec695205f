//! The shipping service: carriers, rates, shipments, labels and tracking.
//!
//! Goods that were packed become a shipment; the cheapest carrier service that is fast enough sells its labels;
//! the handover, confirmed or scanned, is the fact that stock and money follow; what carriers report is merged
//! by rank into where each package is.
//!
//! | room | what is in it |
//! |---|---|
//! | `domain` | the rules: state machines of shipment, label and effect, tracking ranks, the price list |
//! | `commands` | one file per use case, and the driver of the effect ledger |
//! | `queries` | one file per read |
//! | `store` | the only SQL |
//! | `carriers` | the carrier port and its adapters |
//! | `clients` | order (the address for a label) and inventory (where a location is) |
//! | `consumers` | what was packed, what was canceled |
//! | `api` | gRPC to commands and back |
//!
//! Invariants: every purchase and void is written as intent before the carrier is asked, and the carrier is asked
//! by key before anything is asked again; goods that left never come back to DRAFT; an address is on a label and
//! nowhere else.

mod api;
mod app;
mod carriers;
mod clients;
mod commands;
mod config;
mod consumers;
mod domain;
mod queries;
mod store;

pub use app::Shipping;
pub use config::Config;
