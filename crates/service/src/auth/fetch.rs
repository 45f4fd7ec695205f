//! One GET over HTTP, bounded in time and size.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// Longest wait for a whole answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Largest answer in bytes.
const ANSWER_MAX: usize = 256 * 1_024;

/// An HTTP client that trusts whom the system trusts (`SSL_CERT_FILE` names another list). The address has been
/// checked: it is https, or on loopback.
pub(crate) struct Fetcher(Client<HttpsConnector<HttpConnector>, Empty<Bytes>>);

impl Fetcher {
    /// # Errors
    /// When the system trusts nobody.
    pub(crate) fn new() -> Result<Self, String> {
        let trusting = HttpsConnectorBuilder::new().with_native_roots();
        let trusting = trusting.map_err(|error| error.to_string())?;
        let connector = trusting.https_or_http().enable_http1().build();
        Ok(Self(Client::builder(TokioExecutor::new()).build(connector)))
    }

    /// The body of the answer. Redirects are not followed.
    pub(crate) async fn get(&self, url: &str) -> Result<Bytes, String> {
        let request = Request::get(url)
            .body(Empty::new())
            .map_err(|error| error.to_string())?;
        let exchange = async {
            let response = self
                .0
                .request(request)
                .await
                .map_err(|error| error.to_string())?;
            if response.status() != StatusCode::OK {
                return Err(format!("the answer is {}", response.status()));
            }
            let body = Limited::new(response.into_body(), ANSWER_MAX)
                .collect()
                .await;
            Ok(body.map_err(|error| error.to_string())?.to_bytes())
        };
        let answer = tokio::time::timeout(PATIENCE, exchange).await;
        answer.unwrap_or_else(|_| Err("no whole answer in time".to_owned()))
    }
}
