//! Payment providers: the port, its adapters, and what makes every call happen at most once.
//!
//! Every call of a provider goes the same way, whoever drives it (the saga, a task, the reconciler):
//!
//! 1. [`effects::plan`] writes payment and effect in the transaction that decides; the same order, kind
//!    and cause again is the same payment;
//! 2. [`effects::run`] marks the effect SENT, calls the provider, and answers what it said. An effect that
//!    was sent before is never sent blindly again: the provider is asked by key;
//! 3. [`effects::record`] writes the answer with the event, in the transaction that acts on it.
//!
//! A crash between 2 and 3 leaves SENT: whoever comes next, at the latest [`reconciler`], finds out.
//!
//! Every provider outside is asked through a gate ([`gate`]): one that hangs holds up its own orders and nobody else's.

pub(crate) mod cash_on_delivery;
pub(crate) mod credit;
pub(crate) mod effects;
mod gate;
mod http_client;
pub(crate) mod reconciler;
pub(crate) mod renewal;
pub(crate) mod sandbox;
mod signature;
pub(crate) mod stripe;
pub(crate) mod webhooks;

use std::sync::Arc;

use async_trait::async_trait;
use http::HeaderMap;
use oms_core::Money;
use serde::Deserialize;
use time::OffsetDateTime;

use self::gate::Gated;
use crate::config::PaymentsConfig;
use crate::domain::payment::{Answer, PaymentKind};

/// What is asked of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProviderRequest {
    /// Key by which the provider recognizes a repeat and tells what became of it.
    pub(crate) idempotency_key: String,
    /// Amount, above zero.
    pub(crate) amount: Money,
    /// What the customer pays with.
    pub(crate) token: String,
    /// The provider's reference of the authorization (capture, void) or capture (refund).
    pub(crate) parent_reference: String,
}

/// The provider did not answer, or not intelligibly: what it did is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{provider} did not answer: {detail}")]
pub(crate) struct Unanswered {
    /// Name of the provider.
    pub(crate) provider: &'static str,
    /// What was seen instead, for operators.
    pub(crate) detail: String,
    /// Nothing intelligible came at all: others who ask will not hear either. False of an answer that leaves this one call open.
    pub(crate) is_silent: bool,
}

/// What a webhook says: look into this effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hint {
    /// The provider's id of the event, by which a repeat is recognized.
    pub(crate) event_id: String,
    /// Key of the effect; `None` when the event is about nothing of ours.
    pub(crate) idempotency_key: Option<String>,
}

/// Why a webhook is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// Nobody with that name is configured.
    #[error("no such payment provider")]
    UnknownProvider,
    /// The provider has no secret here.
    #[error("no webhook secret is configured for this provider")]
    NotConfigured,
    /// The body is longer than any event.
    #[error("the body is too large")]
    BodyTooLarge,
    /// There is no signature.
    #[error("the signature header is missing")]
    SignatureMissing,
    /// The signature cannot be read.
    #[error("the signature header is not t=<seconds>,v1=<hex>")]
    SignatureMalformed,
    /// Somebody else signed it, or something else was signed.
    #[error("the signature does not match")]
    SignatureInvalid,
    /// It was signed too long ago, or in the future.
    #[error("the signature is older or younger than five minutes")]
    SignatureExpired,
    /// It is no event.
    #[error("the body is not an event of this provider")]
    Malformed,
    /// It could not be dealt with now.
    #[error("it cannot be dealt with now, deliver it again")]
    TryAgain,
}

impl Refusal {
    /// Its code, for machines.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::UnknownProvider => "UNKNOWN_PROVIDER",
            Self::NotConfigured => "WEBHOOKS_NOT_CONFIGURED",
            Self::BodyTooLarge => "BODY_TOO_LARGE",
            Self::SignatureMissing => "SIGNATURE_MISSING",
            Self::SignatureMalformed => "SIGNATURE_MALFORMED",
            Self::SignatureInvalid => "SIGNATURE_INVALID",
            Self::SignatureExpired => "SIGNATURE_EXPIRED",
            Self::Malformed => "MALFORMED",
            Self::TryAgain => "TRY_AGAIN",
        }
    }
}

/// A secret of the configuration. It is never shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The secret; `None` when none is configured.
    pub(crate) fn reveal(&self) -> Option<&str> {
        (!self.0.is_empty()).then_some(&self.0)
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The port to a payment provider. Every call may be repeated with its key and is then the same call.
#[async_trait]
pub(crate) trait Provider: Send + Sync {
    /// Name by which orders choose it.
    fn name(&self) -> &'static str;
    /// True when it is asked over the network: it may hang, and has a gate.
    fn is_remote(&self) -> bool {
        false
    }
    /// Sets money aside.
    async fn authorize(&self, request: &ProviderRequest) -> Result<Answer, Unanswered>;
    /// Takes money that was set aside, all or a part.
    async fn capture(&self, request: &ProviderRequest) -> Result<Answer, Unanswered>;
    /// Gives up what is left of an authorization.
    async fn void(&self, request: &ProviderRequest) -> Result<Answer, Unanswered>;
    /// Pays captured money back, all or a part.
    async fn refund(&self, request: &ProviderRequest) -> Result<Answer, Unanswered>;
    /// What became of this call; `None` when the provider has not done it. Moves no money.
    async fn lookup(
        &self,
        kind: PaymentKind,
        request: &ProviderRequest,
    ) -> Result<Option<Answer>, Unanswered>;
    /// Makes sure that an authorization which [`Self::lookup`] has not found never comes true.
    async fn abandon(&self, _request: &ProviderRequest) -> Result<(), Unanswered> {
        Ok(())
    }
    /// Checks the signature of a webhook and reads what it is about.
    fn webhook(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: OffsetDateTime,
    ) -> Result<Hint, Refusal>;
}

/// The providers that are configured.
#[derive(Clone)]
pub(crate) struct Providers(Arc<[Gated]>);

impl Providers {
    /// These providers, those outside behind gates with the configured limits.
    pub(crate) fn new(providers: Vec<Arc<dyn Provider>>, config: &PaymentsConfig) -> Self {
        let gated = providers.into_iter();
        Self(gated.map(|one| Gated::new(one, config)).collect())
    }

    /// The provider with this name.
    pub(crate) fn get(&self, name: &str) -> Option<&Gated> {
        self.0.iter().find(|one| one.provider().name() == name)
    }

    /// Names of all.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.0.iter().map(|one| one.provider().name()).collect()
    }
}
