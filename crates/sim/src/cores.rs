//! The pure cores of the services: their very source files, compiled into the simulation. They import nothing but
//! `oms-core`, so that no service, database or network comes with them.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::module_inception,
    reason = "a simulation needs a part of what the services do, and names each by its service"
)]

#[path = "../../../services/fulfillment/src/domain/mod.rs"]
pub(crate) mod fulfillment;
#[path = "../../../services/inventory/src/domain/mod.rs"]
pub(crate) mod inventory;
#[path = "../../../services/order/src/domain/mod.rs"]
pub(crate) mod order;
#[path = "../../../services/returns/src/domain/mod.rs"]
pub(crate) mod returns;
#[path = "../../../services/shipping/src/domain/mod.rs"]
pub(crate) mod shipping;
