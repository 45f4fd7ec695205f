//! Requests and what their answers prove.
//!
//! | answer | means |
//! |---|---|
//! | 2xx that can be read | done |
//! | 402 with an error of Stripe | declined by the card's bank: nothing was charged |
//! | 400, 404 with an `invalid_request_error` | Stripe refused the request before doing anything: declined, with its code |
//! | the same with a code of [`CHANGED`] | another call has changed the state: in doubt, the look-up tells |
//! | `idempotency_error` | this key was used: in doubt |
//! | 401, 403 | our API key is wrong, which is no fault of the customer: in doubt until it is right |
//! | 409, 429, 5xx, anything else, no answer | in doubt |

use std::time::Duration;

use anyhow::Context;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::form_urlencoded::Serializer;

use super::super::Unanswered;
use super::super::http_client::{HttpAnswer, HttpClient};
use super::NAME;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const STRIPE_VERSION: HeaderName = HeaderName::from_static("stripe-version");
/// Version of the API that this adapter is written for. Webhooks have that of their endpoint; what is read of
/// them is the same in all.
const VERSION: HeaderValue = HeaderValue::from_static("2024-06-20");

/// Codes of errors that say that something else has happened.
const CHANGED: [&str; 5] = [
    "charge_already_captured",
    "idempotency_key_in_use",
    "lock_timeout",
    "payment_intent_unexpected_state",
    "rate_limit",
];

/// The API of an account.
pub(super) struct Api {
    url: String,
    authorization: HeaderValue,
    http: HttpClient,
}

/// An answer that leaves no doubt.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply<T> {
    /// Done.
    Done(T),
    /// Nothing happened, with the code.
    Declined(String),
}

/// A page of a list.
#[derive(Debug, Deserialize)]
pub(super) struct Page<T> {
    pub(super) data: Vec<T>,
    #[serde(default)]
    pub(super) has_more: bool,
}

/// A form of fields.
#[derive(Debug, Default)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.0.push((name.to_owned(), value.to_owned()));
        self
    }

    /// As the body of a request or as a query.
    pub(super) fn encoded(&self) -> String {
        let mut text = Serializer::new(String::new());
        text.extend_pairs(&self.0);
        text.finish()
    }
}

/// An error as Stripe writes it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct ApiError {
    #[serde(rename = "type")]
    kind: Option<String>,
    code: Option<String>,
    decline_code: Option<String>,
    message: Option<String>,
}

impl ApiError {
    /// The most exact code there is.
    pub(super) fn most_exact_code(&self) -> String {
        let codes = [&self.decline_code, &self.code, &self.kind];
        let code = codes.into_iter().flatten().next();
        code.cloned().unwrap_or_else(|| "card_declined".to_owned())
    }
}

#[derive(Deserialize)]
struct ErrorBody {
    error: ApiError,
}

impl Api {
    pub(super) fn new(url: &str, key: &str, patience: Duration) -> anyhow::Result<Self> {
        let authorization = HeaderValue::from_str(&format!("Bearer {key}"));
        let mut authorization =
            authorization.map_err(|_| anyhow::anyhow!("payments.stripe.api_key: is no key"))?;
        authorization.set_sensitive(true);
        let http = if url.starts_with("http://") {
            HttpClient::plain(patience)
        } else {
            HttpClient::tls(patience).context("payments.stripe: no certificate is trusted here")?
        };
        Ok(Self {
            url: url.trim_end_matches('/').to_owned(),
            authorization,
            http,
        })
    }

    /// Asks for something to be done. An effect may take several requests, which `step` tells apart.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        key: &str,
        step: &str,
        form: &Form,
    ) -> Result<Reply<T>, Unanswered> {
        let key = HeaderValue::from_str(&format!("{key}-{step}"));
        let key = key.map_err(|error| unanswered(error.to_string()))?;
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        let more = [(IDEMPOTENCY_KEY, key), (CONTENT_TYPE, form_type)];
        let body = form.encoded().into_bytes();
        reply(&self.send(Method::POST, path, more.to_vec(), body).await?)
    }

    /// Reads something that is there.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Unanswered> {
        let answer = self.send(Method::GET, path, Vec::new(), Vec::new()).await?;
        if answer.status != StatusCode::OK {
            return Err(unexpected(&answer));
        }
        read(&answer)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        mut headers: Vec<(HeaderName, HeaderValue)>,
        body: Vec<u8>,
    ) -> Result<HttpAnswer, Unanswered> {
        headers.push((AUTHORIZATION, self.authorization.clone()));
        headers.push((STRIPE_VERSION, VERSION));
        let url = format!("{}{path}", self.url);
        let answered = self.http.send(method, &url, &headers, body).await;
        answered.map_err(|detail| Unanswered {
            is_silent: true,
            ..unanswered(detail)
        })
    }
}

/// What the answer to a POST proves.
pub(super) fn reply<T: DeserializeOwned>(answer: &HttpAnswer) -> Result<Reply<T>, Unanswered> {
    if answer.status.is_success() {
        return Ok(Reply::Done(read(answer)?));
    }
    let Ok(ErrorBody { error }) = serde_json::from_slice(&answer.body) else {
        return Err(unexpected(answer));
    };
    let code = error.code.as_deref().unwrap_or_default();
    let proves_nothing_done = match answer.status {
        StatusCode::PAYMENT_REQUIRED => true,
        StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND => {
            error.kind.as_deref() == Some("invalid_request_error") && !CHANGED.contains(&code)
        }
        _ => false,
    };
    if proves_nothing_done {
        return Ok(Reply::Declined(error.most_exact_code()));
    }
    let part = |text: Option<String>| text.unwrap_or_default();
    let (kind, message) = (part(error.kind.clone()), part(error.message.clone()));
    Err(Unanswered {
        is_silent: answer.is_of_trouble(),
        ..unanswered(format!("{}: {kind} {code}: {message}", answer.status))
    })
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

pub(super) fn unanswered(detail: String) -> Unanswered {
    Unanswered {
        provider: NAME,
        detail,
        is_silent: false,
    }
}
