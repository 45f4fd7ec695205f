//! Tells about charges by webhook, as providers do: signed, at least once, in no sure order.
//!
//! What is not delivered after a few tries, or when the process ends, is lost; whoever needs an answer asks.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, Request};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use oms_core::Clock;
use serde_json::json;
use sha2::Sha256;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::charge::Charge;
use crate::faults::{Fault, FaultKind};

/// Pause before a delivery: providers answer before they tell.
const DELAY: Duration = Duration::from_millis(200);
/// Tries of one delivery.
const TRIES: u32 = 5;
/// Pause after the first failed try; it doubles with each.
const PAUSE: Duration = Duration::from_millis(100);
/// Longest wait for the receiver.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where webhooks go, and the secret that they are signed with.
#[derive(Clone)]
pub struct Webhook {
    /// `http://host:port/path`.
    pub url: String,
    /// Shared with the receiver.
    pub secret: String,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook")
            .field("url", &self.url)
            .field("secret", &"[redacted]")
            .finish()
    }
}

/// Sends webhooks in the background.
pub(crate) struct Sender {
    post: Arc<Post>,
    /// What waits until a later event is delivered.
    held: Mutex<Vec<String>>,
    cancel: CancellationToken,
}

struct Post {
    webhook: Webhook,
    http: Client<HttpConnector, Full<Bytes>>,
    clock: Arc<dyn Clock>,
}

impl Sender {
    pub(crate) fn new(webhook: Webhook, clock: Arc<dyn Clock>, cancel: CancellationToken) -> Self {
        let http = Client::builder(TokioExecutor::new()).build_http();
        Self {
            post: Arc::new(Post {
                webhook,
                http,
                clock,
            }),
            held: Mutex::default(),
            cancel,
        }
    }

    /// Tells about a charge that was just booked.
    pub(crate) fn tell(&self, charge: &Charge, fault: Option<&Fault>) {
        let body = event(charge);
        let mut bodies = vec![body];
        let mut wait = DELAY;
        match fault.map(|fault| (fault.kind, fault.ms)) {
            Some((FaultKind::OutOfOrderWebhook, _)) => {
                self.held().append(&mut bodies);
                return;
            }
            Some((FaultKind::DuplicateWebhook, _)) => bodies.push(event(charge)),
            Some((FaultKind::LateWebhook, ms)) => wait += Duration::from_millis(ms),
            _ => {}
        }
        bodies.append(&mut self.held());
        let post = Arc::clone(&self.post);
        let delivered = async move {
            tokio::time::sleep(wait).await;
            for body in bodies {
                post.deliver(&body).await;
            }
        };
        let delivered = self.cancel.clone().run_until_cancelled_owned(delivered);
        tokio::spawn(delivered);
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        // A list of texts is never half changed.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The same charge is the same event.
fn event(charge: &Charge) -> String {
    let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, charge.reference.as_bytes());
    let kind = if charge.approved {
        "charge.approved"
    } else {
        "charge.declined"
    };
    let data = json!({ "idempotency_key": charge.idempotency_key, "reference": charge.reference });
    json!({ "id": format!("evt_{}", id.simple()), "type": kind, "data": data }).to_string()
}

impl Post {
    async fn deliver(&self, body: &str) {
        let mut pause = PAUSE;
        for _ in 0..TRIES {
            match tokio::time::timeout(PATIENCE, self.send(body)).await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => tracing::info!(error, "webhook not taken"),
                Err(_) => tracing::info!("webhook not answered"),
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        tracing::warn!("webhook given up");
    }

    async fn send(&self, body: &str) -> Result<(), String> {
        let at = self.clock.now().unix_timestamp();
        let signature = sign(&self.webhook.secret, at, body).ok_or("cannot be signed")?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(&self.webhook.url)
            .header(CONTENT_TYPE, "application/json")
            .header("sandbox-signature", signature)
            .body(Full::from(body.to_owned()))
            .map_err(|error| error.to_string())?;
        let sent = self.http.request(request).await;
        let status = sent.map_err(|error| error.to_string())?.status();
        if status.is_success() {
            Ok(())
        } else {
            Err(status.to_string())
        }
    }
}

/// `t=<seconds>,v1=<hex of HMAC-SHA256(secret, "t.body")>`.
fn sign(secret: &str, at: i64, body: &str) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    mac.update(format!("{at}.{body}").as_bytes());
    let signature = hex::encode(mac.finalize().into_bytes());
    Some(format!("t={at},v1={signature}"))
}
