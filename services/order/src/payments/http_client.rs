//! The HTTP client of the adapters: one request, one answer, never longer than the patience.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
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
    inner: Inner,
    patience: Duration,
}

#[derive(Debug, Clone)]
enum Inner {
    /// `http://` only.
    Plain(Client<HttpConnector, Full<Bytes>>),
    /// `https://` only.
    Tls(Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
}

/// A whole answer.
#[derive(Debug, Clone)]
pub(super) struct HttpAnswer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

impl HttpClient {
    /// A client for `http://` that waits this long for a whole answer.
    pub(super) fn plain(patience: Duration) -> Self {
        let inner = Inner::Plain(builder().build(connector(patience)));
        Self { inner, patience }
    }

    /// A client for `https://` that waits this long for a whole answer. Whom it trusts is the system's matter
    /// (`SSL_CERT_FILE` names another list); the error says that the system trusts nobody.
    pub(super) fn tls(patience: Duration) -> std::io::Result<Self> {
        let mut connector = connector(patience);
        connector.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_native_roots()?
            .https_only()
            .enable_http1()
            .wrap_connector(connector);
        let inner = Inner::Tls(builder().build(connector));
        Ok(Self { inner, patience })
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
            let response = match &self.inner {
                Inner::Plain(client) => client.request(request).await,
                Inner::Tls(client) => client.request(request).await,
            };
            let response = response.map_err(|e| chain(&e))?;
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

fn connector(patience: Duration) -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(patience));
    connector.set_nodelay(true);
    connector
}

fn builder() -> hyper_util::client::legacy::Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_MOST);
    builder
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
