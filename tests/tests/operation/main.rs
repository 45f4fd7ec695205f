//! What Kubernetes needs of the services, seen at real processes.
//!
//! - `balance`: calls spread over the replicas that a name has; one dies, one comes, one is asked to end
//! - `rolling`: every service is replaced, one process after the other, while orders go to cash
//! - `readiness`: ready is who can answer
//! - `refusals`: a configuration that cannot be used

mod balance;
mod readiness;
mod refusals;
mod rolling;

const NODE: &str = env!("CARGO_BIN_EXE_oms-node");
