//! The order service through its own gRPC, on real Postgres, with peers that tests steer.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail loudly"
)]

mod at_door;
mod at_risk;
mod audit;
mod bad_input;
mod cancel_order;
mod channels;
mod credits;
mod every_step;
mod exceptions;
mod holds;
mod lists;
mod money;
mod outward_webhooks;
mod payments;
mod peers;
mod place_order;
mod privacy;
mod receiver;
mod renewals;
mod replay;
mod rig;
mod saga;
mod stale;
mod stripe;
mod stripe_front;
mod tenders;
mod traces;
mod webhooks;
mod world;
