//! gRPC: requests to commands and queries, domain to messages, errors to statuses. No rule lives here.
//!
//! `checks` reads the fields that several requests have; each service is in the file of its name.

mod availability;
mod checks;
mod correction_service;
mod error;
mod item_service;
mod location_service;
mod reservation_service;
mod reserve;
mod stock_by_hand;
mod stock_policy_service;
mod stock_service;
mod supply_service;
mod units;
mod verify_ledger;

use std::sync::Arc;

use oms_core::{Principal, Violations};
use oms_proto::Mutation;
use uuid::Uuid;

use crate::ctx::{Call, Ctx};
use crate::queries::Watchers;

/// All gRPC services of inventory.
#[derive(Clone)]
pub(crate) struct Api {
    ctx: Arc<Ctx>,
    watchers: Watchers,
}

impl Api {
    pub(crate) fn new(ctx: Arc<Ctx>, watchers: Watchers) -> Self {
        Self { ctx, watchers }
    }
}

/// The call of a mutating request. `request` has its `request_id` cleared; `request_id` was read from it before.
fn call(
    principal: Principal,
    method: &'static str,
    request_id: Uuid,
    request: &impl Mutation,
) -> Call {
    Call {
        principal,
        method,
        request_id,
        hash: oms_service::fingerprint(request),
        reason: request.why().to_owned(),
    }
}

/// Takes the text out of a field and reads it as a request id.
fn take_request_id(field: &mut String, violations: &mut Violations) -> Option<Uuid> {
    oms_service::request_id(&std::mem::take(field), violations)
}
