//! The HTTP client of the adapters: one request, one answer, never longer than the patience.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

/// Largest answer in bytes that is read.
const ANSWER_MAX: usize = 1024 * 1024;
/// Age at which an idle connection is closed, before the other side does so.
const IDLE_MOST: Duration = Duration::from_secs(15);

/// A client with a pool of connections.
#[derive(Debug, Clone)]
pub(super) struct HttpClient {
    inner: Client<HttpConnector, Full<Bytes>>,
    patience: Duration,
}

/// A whole answer.
#[derive(Debug, Clone)]
pub(super) struct HttpAnswer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

impl HttpClient {
    /// A client that waits this long for a whole answer.
    pub(super) fn new(patience: Duration) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(patience));
        connector.set_nodelay(true);
        let inner = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_MOST)
            .build(connector);
        Self { inner, patience }
    }

    /// Sends a request. The error says what was seen instead of an answer; the request may have arrived.
    pub(super) async fn send(
        &self,
        method: Method,
        url: &str,
        headers: &[(HeaderName, HeaderValue)],
        body: Vec<u8>,
    ) -> Result<HttpAnswer, String> {
        let mut request = Request::builder().method(method).uri(url);
        if let Some(all) = request.headers_mut() {
            all.extend(headers.iter().cloned().collect::<HeaderMap>());
        }
        let request = request
            .body(Full::from(body))
            .map_err(|error| error.to_string())?;
        let exchange = async {
            let response = self.inner.request(request).await.map_err(|e| chain(&e))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER_MAX);
            let body = body.collect().await.map_err(|e| chain(e.as_ref()))?;
            Ok(HttpAnswer {
                status,
                body: body.to_bytes(),
            })
        };
        let answer = tokio::time::timeout(self.patience, exchange).await;
        answer.unwrap_or_else(|_| {
            let patience = self.patience.as_millis();
            Err(format!("no whole answer within {patience} ms"))
        })
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}
