//! What the service asks of its peers, in the words of the domain.

mod fulfillment;
mod inventory;

pub(crate) use fulfillment::FulfillmentClient;
pub(crate) use inventory::{InventoryClient, Reserved, reservation_from};
