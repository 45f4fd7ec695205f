//! Adapter for the sandbox provider (`crates/sandbox-psp`), over its HTTP API.
//!
//! 200 is done, 402 is declined. Everything else says nothing about what the provider did: no connection,
//! a broken one, no answer in time, any other status. Such a payment is in doubt and is asked about by key.

use std::time::Duration;

use async_trait::async_trait;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::http_client::{HttpAnswer, HttpClient};
use super::{Hint, Provider, ProviderRequest, Refusal, Secret, Unanswered, signature};
use crate::domain::payment::{Answer, PaymentKind};

const NAME: &str = "sandbox";
const SIGNATURE: &str = "sandbox-signature";
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Where the sandbox provider is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SandboxConfig {
    /// `http://host:port`. Empty: there is no sandbox provider.
    pub url: String,
    /// Secret of its webhooks. Empty: they are refused.
    pub webhook_secret: Secret,
}

/// The sandbox provider.
pub(crate) struct Sandbox {
    url: String,
    webhook_secret: Secret,
    http: HttpClient,
}

/// The body of a request.
#[derive(Serialize)]
struct Asked<'a> {
    amount: i64,
    currency: &'a str,
    token: &'a str,
    parent_reference: &'a str,
}

/// What is read of a charge.
#[derive(Deserialize)]
struct Charge {
    reference: String,
    approved: bool,
    decline_code: String,
    #[serde(default, with = "time::serde::rfc3339::option")]
    expires_at: Option<OffsetDateTime>,
}

#[derive(Deserialize)]
struct Charges {
    charges: Vec<Charge>,
}

/// What is read of a webhook.
#[derive(Deserialize)]
struct Event {
    id: String,
    data: EventData,
}

#[derive(Deserialize)]
struct EventData {
    idempotency_key: String,
}

impl Sandbox {
    /// The provider at this address; an answer may take so long.
    pub(crate) fn new(config: &SandboxConfig, patience: Duration) -> Self {
        Self {
            url: config.url.trim_end_matches('/').to_owned(),
            webhook_secret: config.webhook_secret.clone(),
            http: HttpClient::plain(patience),
        }
    }

    async fn post(&self, path: &str, key: &str, asked: &Asked<'_>) -> Result<Answer, Unanswered> {
        let key = HeaderValue::from_str(key).map_err(|error| unanswered(error.to_string()))?;
        let headers = [
            (IDEMPOTENCY_KEY, key),
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        ];
        let body = serde_json::to_vec(asked).map_err(|error| unanswered(error.to_string()))?;
        let url = format!("{}{path}", self.url);
        let answered = self.http.send(Method::POST, &url, &headers, body).await;
        let answer = answered.map_err(silent)?;
        match answer.status {
            StatusCode::OK | StatusCode::PAYMENT_REQUIRED => Ok(read::<Charge>(&answer)?.into()),
            _ => Err(unexpected(&answer)),
        }
    }
}

/// An authorization has a token and hangs on nothing; the others hang on a charge, which knows the token.
fn asked<'a>(request: &'a ProviderRequest, authorizes: bool) -> Asked<'a> {
    let only = |wanted: bool, text: &'a str| if wanted { text } else { "" };
    Asked {
        amount: request.amount.minor,
        currency: request.amount.currency.code(),
        token: only(authorizes, &request.token),
        parent_reference: only(!authorizes, &request.parent_reference),
    }
}

impl From<Charge> for Answer {
    fn from(charge: Charge) -> Self {
        if charge.approved {
            return Self::Approved {
                reference: charge.reference,
                expires_at: charge.expires_at,
            };
        }
        Self::Declined {
            code: charge.decline_code,
        }
    }
}

fn read<T: DeserializeOwned>(answer: &HttpAnswer) -> Result<T, Unanswered> {
    serde_json::from_slice(&answer.body)
        .map_err(|error| unanswered(format!("{} that cannot be read: {error}", answer.status)))
}

fn unexpected(answer: &HttpAnswer) -> Unanswered {
    let body = String::from_utf8_lossy(&answer.body);
    let start: String = body.chars().take(200).collect();
    Unanswered {
        is_silent: answer.is_of_trouble(),
        ..unanswered(format!("{}: {start}", answer.status))
    }
}

fn unanswered(detail: String) -> Unanswered {
    Unanswered {
        provider: NAME,
        detail,
        is_silent: false,
    }
}

fn silent(detail: String) -> Unanswered {
    Unanswered {
        is_silent: true,
        ..unanswered(detail)
    }
}

#[async_trait]
impl Provider for Sandbox {
    fn name(&self) -> &'static str {
        NAME
    }

    fn is_remote(&self) -> bool {
        true
    }

    async fn authorize(&self, request: &ProviderRequest) -> Result<Answer, Unanswered> {
        let key = &request.idempotency_key;
        self.post("/v1/authorizations", key, &asked(request, true))
            .await
    }

    async fn capture(&self, request: &ProviderRequest) -> Result<Answer, Unanswered> {
        let key = &request.idempotency_key;
        self.post("/v1/captures", key, &asked(request, false)).await
    }

    async fn void(&self, request: &ProviderRequest) -> Result<Answer, Unanswered> {
        let key = &request.idempotency_key;
        self.post("/v1/voids", key, &asked(request, false)).await
    }

    async fn refund(&self, request: &ProviderRequest) -> Result<Answer, Unanswered> {
        let key = &request.idempotency_key;
        self.post("/v1/refunds", key, &asked(request, false)).await
    }

    async fn lookup(
        &self,
        _kind: PaymentKind,
        request: &ProviderRequest,
    ) -> Result<Option<Answer>, Unanswered> {
        // The key is an id: nothing in it needs escaping.
        let url = format!("{}/v1/charges?key={}", self.url, request.idempotency_key);
        let answered = self.http.send(Method::GET, &url, &[], Vec::new()).await;
        let answer = answered.map_err(silent)?;
        if answer.status != StatusCode::OK {
            return Err(unexpected(&answer));
        }
        let found = read::<Charges>(&answer)?.charges;
        Ok(found.into_iter().next().map(Answer::from))
    }

    fn webhook(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: OffsetDateTime,
    ) -> Result<Hint, Refusal> {
        signature::check((headers, SIGNATURE), body, &self.webhook_secret, now)?;
        let event: Event = serde_json::from_slice(body).map_err(|_| Refusal::Malformed)?;
        Ok(Hint {
            event_id: event.id,
            idempotency_key: Some(event.data.idempotency_key),
        })
    }
}
