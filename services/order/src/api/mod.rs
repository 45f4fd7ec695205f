//! gRPC: requests to commands and queries, domain to messages, errors to statuses. No rule lives here.

mod cancel_order;
mod channel_service;
mod credit_service;
mod error;
mod exception_service;
mod hold_service;
mod invoice_service;
mod new_order;
mod order_service;
mod payment_service;
mod privacy_service;
mod reach;
mod requests;
mod stages;
mod webhook_service;

use std::sync::Arc;

use crate::ctx::Ctx;

/// The gRPC services of the order service.
#[derive(Clone)]
pub(crate) struct Api {
    ctx: Arc<Ctx>,
}

impl Api {
    /// Services that work with this.
    pub(crate) fn new(ctx: Arc<Ctx>) -> Self {
        Self { ctx }
    }
}
