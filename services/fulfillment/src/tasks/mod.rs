//! Durable follow-up work.

pub(crate) mod resolve_short;
