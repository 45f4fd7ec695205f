//! What the service needs of its peers.

mod inventory;
mod order;

pub(crate) use inventory::{InventoryClient, Location};
pub(crate) use order::OrderClient;
