//! What every command needs, and who calls it.

use std::sync::Arc;

use oms_core::{Clock, IdSource, Principal};
use oms_postgres::Db;
use oms_postgres::idempotency::RequestKey;
use uuid::Uuid;

use crate::domain::command::Command;
use crate::domain::effect::Outcome;
use crate::lanes::{Error, Lanes, Request};
use crate::store::known_kits::KnownKits;
use crate::store::known_locations::KnownLocations;

/// The service itself, where it does something without being asked.
pub(crate) const SERVICE: &str = "service:inventory";

/// What every command needs.
pub(crate) struct Ctx {
    /// The service's database.
    pub(crate) db: Db,
    /// Where all time comes from.
    pub(crate) clock: Arc<dyn Clock>,
    /// Where all new ids come from.
    pub(crate) ids: Arc<dyn IdSource>,
    /// The writer of stock and reservations.
    pub(crate) lanes: Lanes,
    /// Locations that were seen.
    pub(crate) locations: KnownLocations,
    /// Most SKUs whose books are verified in one transaction.
    pub(crate) verified_skus_max: i64,
    /// Kits that were seen.
    pub(crate) kits: KnownKits,
}

/// Who calls, and what makes a repeat the same call.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// Who calls.
    pub(crate) principal: Principal,
    /// Name of the RPC.
    pub(crate) method: &'static str,
    /// Id that the caller chose.
    pub(crate) request_id: Uuid,
    /// Hash of the request without its id.
    pub(crate) hash: [u8; 32],
    /// Why, if the request says it.
    pub(crate) reason: String,
}

impl Call {
    /// The key under which the call is remembered.
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

impl Ctx {
    /// Has a command decided by the lanes.
    pub(crate) async fn submit(&self, call: Call, command: Command) -> Result<Outcome, Error> {
        let key = Some(call.key());
        self.lanes
            .submit(Request {
                command,
                key,
                actor: call.principal,
            })
            .await
    }
}
