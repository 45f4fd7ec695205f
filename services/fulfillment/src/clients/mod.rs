//! What the service needs of its peers, in the words of its own domain.

pub(crate) mod inventory;
pub(crate) mod order;
