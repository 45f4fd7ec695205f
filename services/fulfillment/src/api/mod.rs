//! The service's gRPC: messages to commands, domain to messages, errors to status. No rule lives here.

mod document_service;
mod error;
mod fulfillment_order_service;
mod packing_service;
mod picking_service;
mod reach;
mod read;
mod sourcing_service;
mod wave_service;

use std::sync::Arc;

use crate::ctx::Ctx;

/// All gRPC services over the commands and queries. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Api {
    ctx: Arc<Ctx>,
}

impl Api {
    /// The services with what they work on.
    pub(crate) fn new(ctx: Arc<Ctx>) -> Self {
        Self { ctx }
    }
}
