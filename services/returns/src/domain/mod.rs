//! The rules of returns. Pure: no async, SQL, gRPC, clock or randomness.

pub(crate) mod event;
pub(crate) mod returns;
pub(crate) mod state;
