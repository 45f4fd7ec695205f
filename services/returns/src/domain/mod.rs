//! The rules of returns. Pure: no async, SQL, gRPC, clock or randomness.

pub(crate) mod event;
#[cfg(test)]
mod properties;
pub(crate) mod returns;
pub(crate) mod state;
