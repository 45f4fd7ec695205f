//! The provider `cash_on_delivery`: the carrier takes the money at the door. Nothing is set aside and nothing moves here, so
//! it agrees to everything, as often as it is asked. What makes a capture true is that somebody recorded the collection:
//! [`crate::commands::record_collection`] plans it, nothing else does.

use async_trait::async_trait;
use http::HeaderMap;
use time::OffsetDateTime;

use super::{Hint, Provider, ProviderRequest, Refusal, Unanswered};
use crate::domain::collection::CASH_ON_DELIVERY;
use crate::domain::payment::{Answer, PaymentKind};

/// The provider.
pub(crate) struct CashOnDelivery;

fn agreed(key: &str) -> Answer {
    Answer::Approved {
        reference: format!("cod_{key}"),
        expires_at: None,
    }
}

#[async_trait]
impl Provider for CashOnDelivery {
    fn name(&self) -> &'static str {
        CASH_ON_DELIVERY
    }

    async fn authorize(&self, request: &ProviderRequest) -> Result<Answer, Unanswered> {
        Ok(agreed(&request.idempotency_key))
    }

    async fn capture(&self, request: &ProviderRequest) -> Result<Answer, Unanswered> {
        Ok(agreed(&request.idempotency_key))
    }

    async fn void(&self, request: &ProviderRequest) -> Result<Answer, Unanswered> {
        Ok(agreed(&request.idempotency_key))
    }

    /// Somebody pays the customer back by hand.
    async fn refund(&self, request: &ProviderRequest) -> Result<Answer, Unanswered> {
        Ok(agreed(&request.idempotency_key))
    }

    async fn lookup(
        &self,
        _: PaymentKind,
        request: &ProviderRequest,
    ) -> Result<Option<Answer>, Unanswered> {
        Ok(Some(agreed(&request.idempotency_key)))
    }

    /// Nobody outside tells of it.
    fn webhook(&self, _: &HeaderMap, _: &[u8], _: OffsetDateTime) -> Result<Hint, Refusal> {
        Err(Refusal::NotConfigured)
    }
}
