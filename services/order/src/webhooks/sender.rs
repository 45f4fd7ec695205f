//! One request to an endpoint: to the addresses that were checked and nowhere else, without following anything, and never
//! longer or larger than allowed.

use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower::Service;
use url::Url;

use crate::domain::webhook_target::Guard;

/// Bytes of an answer that are read.
const ANSWER_MAX: usize = 512;
/// Age at which an idle connection is closed.
const IDLE_MOST: Duration = Duration::from_secs(15);
/// Idle connections that are kept to one endpoint.
const IDLE_PER_HOST: usize = 2;

type Connector = HttpConnector<GuardedDns>;

/// Sends requests to endpoints.
#[derive(Debug, Clone)]
pub(super) struct Sender {
    guard: Guard,
    /// For `http://`, which the guard allows in development only.
    plain: Client<Connector, Full<Bytes>>,
    /// `None` when the system trusts nobody.
    tls: Option<Client<HttpsConnector<Connector>, Full<Bytes>>>,
    patience: Duration,
}

/// What an endpoint answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// 0 when it did not.
    pub(super) status_code: u16,
    /// How long it took.
    pub(super) latency: Duration,
    /// Empty when the status is 200 to 299.
    pub(super) error: String,
    /// The beginning of the body.
    pub(super) excerpt: String,
}

impl Sender {
    /// Sends where the guard allows, and waits this long for an answer. Whom it trusts is the system's matter
    /// (`SSL_CERT_FILE` names another list).
    pub(super) fn new(guard: Guard, patience: Duration) -> Self {
        let mut connector = HttpConnector::new_with_resolver(GuardedDns(guard.clone()));
        connector.set_connect_timeout(Some(patience));
        connector.set_nodelay(true);
        connector.enforce_http(false);
        let mut builder = Client::builder(TokioExecutor::new());
        builder
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_MOST)
            .pool_max_idle_per_host(IDLE_PER_HOST);
        let tls = match HttpsConnectorBuilder::new().with_native_roots() {
            Ok(trusting) => {
                let trusting = trusting.https_only().enable_http1();
                Some(builder.build(trusting.wrap_connector(connector.clone())))
            }
            Err(error) => {
                tracing::warn!(%error, "the system trusts nobody, so no webhook goes out by https");
                None
            }
        };
        Self {
            guard,
            plain: builder.build(connector),
            tls,
            patience,
        }
    }

    /// Posts a body.
    pub(super) async fn post(&self, url: &str, headers: HeaderMap, body: String) -> Answer {
        let started = Instant::now();
        let exchange = tokio::time::timeout(self.patience, self.exchange(url, headers, body));
        let (status, error, excerpt) = match exchange.await {
            Ok(Ok((status, excerpt))) => (status.as_u16(), error_of(status), excerpt),
            Ok(Err(error)) => (0, error, String::new()),
            Err(_) => {
                let patience = self.patience.as_millis();
                (
                    0,
                    format!("no whole answer within {patience} ms"),
                    String::new(),
                )
            }
        };
        Answer {
            status_code: status,
            latency: started.elapsed(),
            error,
            excerpt,
        }
    }

    async fn exchange(
        &self,
        url: &str,
        headers: HeaderMap,
        body: String,
    ) -> Result<(StatusCode, String), String> {
        // Again, as the configuration may be stricter than when the endpoint was made. A host that is a number is
        // never resolved, so here is where it is checked.
        let mut violations = oms_core::Violations::default();
        self.guard.check_url(url, &mut violations);
        if let Some(violation) = violations.iter().next() {
            return Err(format!("the address is not allowed: {}", violation.message));
        }
        // As the guard has read it: not two readings of one text.
        let url = Url::parse(url).map_err(|error| error.to_string())?;
        let mut request = Request::post(url.as_str())
            .body(Full::from(body))
            .map_err(|error| error.to_string())?;
        *request.headers_mut() = headers;
        let response = match &self.tls {
            _ if url.scheme() == "http" => self.plain.request(request).await,
            Some(tls) => tls.request(request).await,
            None => return Err("no certificate authorities are installed here".to_owned()),
        };
        let response = response.map_err(|e| chain(&e))?;
        let status = response.status();
        Ok((status, excerpt(response).await))
    }
}

/// Only the beginning is read; what does not arrive is left out.
async fn excerpt(response: Response<hyper::body::Incoming>) -> String {
    let mut body = response.into_body();
    let mut read = BytesMut::new();
    while read.len() < ANSWER_MAX
        && let Some(Ok(frame)) = body.frame().await
    {
        if let Ok(data) = frame.into_data() {
            read.extend_from_slice(&data);
        }
    }
    read.truncate(ANSWER_MAX);
    // Postgres takes no NUL in a text.
    String::from_utf8_lossy(&read).replace('\0', "\u{fffd}")
}

fn error_of(status: StatusCode) -> String {
    if status.is_success() {
        String::new()
    } else if status.is_redirection() {
        format!("{status}: redirects are not followed")
    } else {
        status.to_string()
    }
}

/// Resolves names, and answers only when every address may be connected to. The connector connects to what is answered
/// here and asks nobody else.
#[derive(Debug, Clone)]
struct GuardedDns(Guard);

impl Service<Name> for GuardedDns {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = std::io::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let guard = self.0.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let addresses: Vec<SocketAddr> = found.collect();
            if addresses.iter().any(|one| !guard.allows(one.ip())) {
                // Not which one: names of the inside are nobody's business.
                let message = "the name leads to an address that is not allowed";
                return Err(std::io::Error::new(
                    std::io::ErrorKind::PermissionDenied,
                    message,
                ));
            }
            Ok(addresses.into_iter())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn guard() -> Guard {
        Guard {
            ports: vec![443],
            networks: Vec::new(),
            allows_loopback: false,
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_not_connected_to() {
        let sender = Sender::new(guard(), Duration::from_secs(10));
        let url = "https://localhost/hooks";
        let answer = sender.post(url, HeaderMap::new(), "{}".to_owned()).await;
        assert_eq!(answer.status_code, 0);
        assert!(answer.error.contains("not allowed"), "{}", answer.error);
    }

    #[tokio::test]
    async fn an_address_is_checked_again_before_it_is_sent_to() {
        let sender = Sender::new(guard(), Duration::from_secs(10));
        for url in [
            "http://1.1.1.1/",
            "https://10.0.0.1/",
            "https://1.1.1.1:22/",
        ] {
            let answer = sender.post(url, HeaderMap::new(), "{}".to_owned()).await;
            assert!(
                answer.error.contains("not allowed"),
                "{url}: {}",
                answer.error
            );
        }
    }
}
