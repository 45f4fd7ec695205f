//! What the service asks of its peers, in the words of the domain.

mod fulfillment;
mod inventory;

pub(crate) use fulfillment::{CanceledUnits, FulfillmentClient};
pub(crate) use inventory::{InventoryClient, Reserved, reservation_from};

use oms_proto::common::v1::{FillPolicy, ServiceLevel};

use crate::domain::order::Order;

/// What happens when stock is short, as peers read it.
fn fill_policy(order: &Order) -> i32 {
    let name = format!("FILL_POLICY_{}", order.fill_policy.as_str());
    FillPolicy::from_str_name(&name).unwrap_or_default().into()
}

/// How fast, as peers read it.
fn service_level(order: &Order) -> i32 {
    let name = format!("SERVICE_LEVEL_{}", order.service_level);
    ServiceLevel::from_str_name(&name)
        .unwrap_or_default()
        .into()
}
