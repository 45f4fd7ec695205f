//! One file per command. A command opens one named transaction: request id, lock, rules, rows, event.

pub(crate) mod place_hold;
pub(crate) mod place_order;
pub(crate) mod release_hold;
pub(crate) mod update_order;
pub(crate) mod upsert_channel;
pub(crate) mod validate_order;
