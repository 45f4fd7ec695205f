//! Carriers behind one port. An adapter knows how its carrier is asked; nothing else does.

mod table_rate;
mod table_rate_event;
mod webhook;

use std::sync::Arc;

use async_trait::async_trait;
use http::HeaderMap;
use oms_core::{Money, PackageId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::rates::{Parcel, Place, ServiceLevel};

pub(crate) use table_rate::TableRate;

pub(crate) use webhook::{Told, Untold, WebhookConfig};

/// Why a carrier did not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CarrierError {
    /// It answered no. The text is shown to people.
    #[error("the carrier refused: {0}")]
    Refused(String),
    /// It did not answer, or not so that one can tell what it did.
    #[error("the carrier's answer is not known: {0}")]
    Unknown(String),
}

/// What a price depends on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct QuoteRequest {
    /// Where the goods leave from.
    pub(crate) from: Place,
    /// Where they go.
    pub(crate) to: Place,
    /// Packages.
    pub(crate) parcels: Vec<Parcel>,
    /// When they would be handed over.
    pub(crate) ship_at: OffsetDateTime,
}

/// What one service costs for all packages together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Carrier.
    pub(crate) carrier_id: &'static str,
    /// Service of the carrier.
    pub(crate) carrier_service: String,
    /// Level it meets.
    pub(crate) level: ServiceLevel,
    /// Price for all packages.
    pub(crate) price: Money,
    /// Working days on the way.
    pub(crate) transit_days: u8,
    /// When it would deliver.
    pub(crate) expected_delivery_at: OffsetDateTime,
    /// Zone of the carrier's table.
    pub(crate) zone: u8,
}

/// Labels to buy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Purchase {
    /// Label attempt that they belong to.
    pub(crate) label_id: Uuid,
    /// Service of the carrier.
    pub(crate) carrier_service: String,
    /// Packages.
    pub(crate) packages: Vec<PackageId>,
    /// Price that was quoted.
    pub(crate) price: Money,
}

/// Labels that were bought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bought {
    /// The carrier's name for the purchase.
    pub(crate) reference: String,
    /// Number of each package.
    pub(crate) numbers: Vec<(PackageId, String)>,
}

/// What a carrier did under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// It sold labels.
    Bought(Bought),
    /// It voided them.
    Voided,
}

/// A carrier. Every call that changes something at the carrier has a key; the same key again changes
/// nothing and answers the same. Calls are made from the effect ledger only, which commits the intent
/// before the call, and asks [`Carrier::find_by_key`] before it ever repeats one.
#[async_trait]
pub(crate) trait Carrier: Send + Sync {
    /// Id, such as `table_rate`.
    fn id(&self) -> &'static str;
    /// Name for people, printed on labels.
    fn name(&self) -> &'static str;
    /// Prices of all services that serve the way.
    async fn quote(&self, request: &QuoteRequest) -> Result<Vec<Rate>, CarrierError>;
    /// Buys labels for all packages.
    async fn buy(&self, key: &str, purchase: &Purchase) -> Result<Bought, CarrierError>;
    /// Voids what was bought under a reference.
    async fn void(&self, key: &str, reference: &str) -> Result<(), CarrierError>;
    /// What was done under a key; `None` when the carrier never saw it.
    async fn find_by_key(&self, key: &str) -> Result<Option<Found>, CarrierError>;
    /// Checks that the carrier sent a webhook, and reads it.
    fn webhook(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: OffsetDateTime,
    ) -> Result<Told, Untold>;
}

/// The carriers of this deployment.
#[derive(Clone)]
pub(crate) struct Carriers(Vec<Arc<dyn Carrier>>);

impl Carriers {
    /// These carriers.
    pub(crate) fn new(carriers: Vec<Arc<dyn Carrier>>) -> Self {
        Self(carriers)
    }

    /// The carrier with an id.
    pub(crate) fn find(&self, id: &str) -> Option<&Arc<dyn Carrier>> {
        self.0.iter().find(|carrier| carrier.id() == id)
    }

    /// Rates of all carriers, cheapest first, then fastest. A carrier that does not answer is left out
    /// with a warning: the others can still be used.
    pub(crate) async fn quote(&self, request: &QuoteRequest) -> Vec<Rate> {
        let mut rates = Vec::new();
        for carrier in &self.0 {
            match carrier.quote(request).await {
                Ok(found) => rates.extend(found),
                Err(error) => {
                    tracing::warn!(carrier = carrier.id(), %error, "carrier gave no rates");
                }
            }
        }
        rates.sort_by(|a, b| {
            let key = |rate: &Rate| (rate.price.minor, rate.transit_days);
            key(a)
                .cmp(&key(b))
                .then_with(|| a.carrier_service.cmp(&b.carrier_service))
        });
        rates
    }
}
