//! The HTTP client of the adapters: one request, one answer, never longer than the patience.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::builderstates::WantsSchemes;
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

impl HttpAnswer {
    /// True when the other side is in trouble with everybody, not with this request: it is down, or asked too much.
    pub(super) fn is_of_trouble(&self) -> bool {
        self.status.is_server_error() || self.status == StatusCode::TOO_MANY_REQUESTS
    }
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
        let trusting = HttpsConnectorBuilder::new().with_native_roots()?;
        Ok(Self::over(trusting, patience))
    }

    fn over(trusting: HttpsConnectorBuilder<WantsSchemes>, patience: Duration) -> Self {
        let mut connector = connector(patience);
        connector.enforce_http(false);
        let connector = trusting
            .https_only()
            .enable_http1()
            .wrap_connector(connector);
        let inner = Inner::Tls(builder().build(connector));
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);
    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\nsafe";

    /// For localhost, signed by nobody; until the year 2126.
    fn certificate() -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(include_bytes!("../../tests/tls/localhost.pem")).unwrap()
    }

    /// A server that says the same to everybody who trusts it; answers its port.
    async fn server() -> u16 {
        let key = include_bytes!("../../tests/tls/localhost.key.pem");
        let key = PrivateKeyDer::from_pem_slice(key).unwrap();
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate()], key);
        let acceptor = TlsAcceptor::from(Arc::new(config.unwrap()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let mut request = Vec::new();
                    while !request.ends_with(b"\r\n\r\n") {
                        assert!(stream.read_buf(&mut request).await.unwrap() > 0);
                    }
                    stream.write_all(ANSWER).await.unwrap();
                    stream.shutdown().await.unwrap();
                }
            }
        });
        port
    }

    async fn get(client: &HttpClient, url: &str) -> Result<HttpAnswer, String> {
        client.send(Method::GET, url, &[], Vec::new()).await
    }

    #[tokio::test]
    async fn only_a_server_that_is_trusted_gets_the_request() {
        let port = server().await;
        let mut roots = RootCertStore::empty();
        roots.add(certificate()).unwrap();
        let config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let trusting = HttpsConnectorBuilder::new().with_tls_config(config);
        let client = HttpClient::over(trusting, PATIENCE);
        let url = format!("https://localhost:{port}/");
        let answer = get(&client, &url).await.unwrap();
        assert_eq!(answer.body.as_ref(), b"safe");
        // Never in the clear, and never to another name.
        let error = get(&client, &format!("http://localhost:{port}/")).await;
        assert!(error.is_err(), "{error:?}");
        let error = get(&client, &format!("https://127.0.0.1:{port}/")).await;
        assert!(error.unwrap_err().contains("certificate"));
        // The system has never heard of it.
        if let Ok(client) = HttpClient::tls(PATIENCE) {
            let error = get(&client, &url).await.unwrap_err();
            assert!(error.contains("certificate"), "{error}");
        }
    }
}
