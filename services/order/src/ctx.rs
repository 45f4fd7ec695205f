//! What commands, the saga, consumers and tasks work with.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use oms_core::{Clock, IdSource, Principal, derive};
use oms_postgres::Db;
use oms_postgres::idempotency::RequestKey;
use oms_seal::MasterKeys;
use time::OffsetDateTime;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::clients::{FulfillmentClient, InventoryClient};
use crate::config::Config;
use crate::payments::Providers;
use crate::webhooks::Webhooks;

/// Everything that work needs from outside. One per process, shared.
pub(crate) struct Ctx {
    /// The database.
    pub(crate) db: Db,
    /// The only source of the time.
    pub(crate) clock: Arc<dyn Clock>,
    /// The only source of new ids.
    pub(crate) ids: Arc<dyn IdSource>,
    /// The configuration.
    pub(crate) config: Config,
    /// The inventory service.
    pub(crate) inventory: InventoryClient,
    /// The fulfillment service.
    pub(crate) fulfillment: FulfillmentClient,
    /// The payment providers.
    pub(crate) providers: Providers,
    /// The keys that wrap customers' keys.
    pub(crate) masters: MasterKeys,
    /// Webhooks to endpoints outside.
    pub(crate) webhooks: Webhooks,
    /// Sagas and other work that goes on while nobody waits for it; drained at the end.
    pub(crate) background: TaskTracker,
    /// Canceled when the program begins to drain: sagas stop after their present step.
    pub(crate) draining: CancellationToken,
    /// Canceled when the saga driver is gone: what it started ends at once.
    pub(crate) saga_abort: CancellationToken,
    /// Told when a saga of this process may be due.
    pub(crate) saga_wakes: Notify,
}

impl Ctx {
    /// The time now.
    pub(crate) fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    /// Makes the saga driver of this process look for due sagas now.
    pub(crate) fn wake_sagas(&self) {
        self.saga_wakes.notify_one();
    }

    /// A new id.
    pub(crate) fn id(&self) -> Uuid {
        self.ids.next()
    }

    /// A point before or after a commit or a call, where the crash suite kills this process. In the folder that the
    /// configuration names, every point that is passed is a line of the file `passed`, and the process dies, as by
    /// `kill -9`, at the one that the file `kill_at` names, once. Nothing without the key, which only `insecure_dev` allows.
    pub(crate) fn failpoint(&self, what: &str, moment: &str) {
        if let Some(folder) = &self.config.saga.failpoints {
            pass(folder, &format!("{what} {moment}"));
        }
    }
}

fn pass(folder: &Path, point: &str) {
    let passed = OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("passed"))
        .and_then(|mut file| file.write_all(format!("{point}\n").as_bytes()));
    if let Err(error) = passed {
        tracing::error!(%error, "a failpoint could not be written down");
    }
    let kill_at = folder.join("kill_at");
    if fs::read_to_string(&kill_at).is_ok_and(|at| at == point) && fs::remove_file(&kill_at).is_ok()
    {
        std::process::abort();
    }
}

/// Actor of what the saga and tasks do on their own.
pub(crate) const SERVICE_ACTOR: &str = "service:order";

/// Who calls a mutating command, and as which call.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// Who.
    pub(crate) principal: Principal,
    /// The id that makes a repeat recognizable.
    pub(crate) request_id: Uuid,
    /// Fingerprint of the request without `request_id` and `wait_for`.
    pub(crate) fingerprint: [u8; 32],
    /// Why, if the request says it.
    pub(crate) reason: String,
}

impl Caller {
    /// The actor as rows keep it.
    pub(crate) fn actor(&self) -> String {
        self.principal.to_string()
    }

    /// The key of the call for the idempotency record.
    pub(crate) fn key(&self, method: &'static str) -> RequestKey {
        RequestKey {
            principal: self.actor(),
            method,
            request_id: self.request_id,
            hash: self.fingerprint,
            reason: self.reason.clone(),
        }
    }
}

/// The request id of a call to a peer: the same for the same order and purpose, so that a repeat is a replay.
pub(crate) fn request_id_for(namespace: Uuid, purpose: &str) -> String {
    derive(namespace, purpose).to_string()
}
