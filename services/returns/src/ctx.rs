//! What every command and query works with.

use std::sync::Arc;

use oms_core::{Clock, IdSource, Principal};
use oms_postgres::Db;
use oms_postgres::idempotency::RequestKey;
use uuid::Uuid;

use crate::clients::{OrderClient, ShippingClient};
use crate::config::Policy;

/// The service's own engines, peers and policy. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Ctx {
    /// The service's database.
    pub(crate) db: Db,
    /// What time it is.
    pub(crate) clock: Arc<dyn Clock>,
    /// Where new ids come from.
    pub(crate) ids: Arc<dyn IdSource>,
    /// The order service.
    pub(crate) order: OrderClient,
    /// The shipping service.
    pub(crate) shipping: ShippingClient,
    /// What the deployment decides about returns.
    pub(crate) policy: Policy,
}

/// Who calls, and the identity of the call.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// Who calls.
    pub(crate) principal: Principal,
    /// Name of the RPC.
    pub(crate) method: &'static str,
    /// Idempotency key of the caller.
    pub(crate) request_id: Uuid,
    /// Fingerprint of the request.
    pub(crate) hash: [u8; 32],
    /// Why, if the request says it.
    pub(crate) reason: String,
}

impl Call {
    /// The key under which the call's effect is recorded.
    pub(crate) fn key(&self) -> RequestKey {
        RequestKey {
            principal: self.principal.to_string(),
            method: self.method,
            request_id: self.request_id,
            hash: self.hash,
            reason: self.reason.clone(),
        }
    }
}
