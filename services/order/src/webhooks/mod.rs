//! Webhooks to endpoints outside, after the Standard Webhooks specification: the service's own feed, pushed.
//!
//! 1. [`fan_out`] follows the feed. The transaction that moves its cursor makes one delivery per event and endpoint that
//!    wants it; a delivery names the event's position, and the event stays in the feed;
//! 2. [`deliver`] claims due deliveries, a few per endpoint, so that an endpoint that is slow or dead keeps nobody else
//!    waiting, sends each ([`sender`]), signed with every secret of the endpoint ([`secret`]), and writes down what became of it;
//! 3. the same transaction disables an endpoint that is gone, or that has accepted nothing for days ([`endpoint`]).
//!
//! A crash between sending and writing leaves the claim to run out: the delivery is sent again, with the same id.

pub(crate) mod body;
pub(crate) mod config;
pub(crate) mod deliver;
pub(crate) mod endpoint;
pub(crate) mod fan_out;
pub(crate) mod keeper;
pub(crate) mod secret;
pub(crate) mod sender;

use std::time::Duration;

use oms_proto::CloudEvents;
use tokio::sync::Notify;

use crate::domain::webhook_target::Guard;
use config::WebhooksConfig;
use sender::Sender;

/// Name of the cursor in the service's own feed.
pub(crate) const CONSUMER: &str = "webhooks";
/// The service whose feed it is.
pub(crate) const SOURCE: &str = "order";

/// What webhooks are made with. One per process.
pub(crate) struct Webhooks {
    /// Where they may go.
    pub(crate) guard: Guard,
    /// Types of events that can be asked for.
    pub(crate) event_types: Vec<String>,
    /// Told when a delivery of this process may be due.
    pub(crate) wakes: Notify,
    /// Told when a range is to be replayed.
    pub(crate) replay_wakes: Notify,
    events: CloudEvents,
    sender: Sender,
}

impl Webhooks {
    /// As the configuration says. `insecure_dev` allows endpoints on this machine.
    pub(crate) fn new(config: &WebhooksConfig, insecure_dev: bool) -> anyhow::Result<Self> {
        let guard = config.guard(insecure_dev);
        let events = CloudEvents::new()?;
        let mut event_types = events.types(SOURCE);
        event_types.retain(|name| name != "WebhookEndpointChanged");
        Ok(Self {
            sender: Sender::new(guard.clone(), Duration::from_millis(config.timeout_ms)),
            guard,
            event_types,
            wakes: Notify::new(),
            replay_wakes: Notify::new(),
            events,
        })
    }
}
