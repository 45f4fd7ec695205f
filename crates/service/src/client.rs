//! Calls of peers: who calls, on whose behalf, within which trace and deadline.

mod balance;
mod credentials;
mod resolve;

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::header::AUTHORIZATION;
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderName, HeaderValue, Request, Response, Uri};
use oms_core::{Principal, PrincipalKind};
use oms_proto::common::v1::ErrorReason;
use oms_telemetry::TraceContext;
use tonic::body::Body;
use tonic::transport::Endpoint;
use tonic::{Code, Status, TimeoutExpired};
use tower::Service;
use tracing::{Instrument, Span, field};

use crate::auth::PRINCIPAL_HEADER;
use crate::auth::watched::Watched;
use crate::config::{ConfigError, PeerConfig};
use crate::error::{ApiError, Chain};
use crate::gate::Gate;
use crate::observe::{Observed, Side};
use crate::server::body::ObservedBody;
use crate::server::deadline;
use crate::server::method::{self, Method};
use crate::tls::Tls;
use balance::{Connector, Replicas};
use resolve::Listed;

pub use credentials::{Credentials, Secret};
pub use resolve::{Resolve, SystemResolver};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

const PRINCIPAL: HeaderName = HeaderName::from_static(PRINCIPAL_HEADER);
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// A channel to a peer, for generated clients: `ReservationServiceClient::new(channel)`. Cheap to clone.
///
/// Every call carries the trace, names the calling service, has a deadline (the peer's configured
/// timeout, or what is left to the call that is being answered if that is less; a timeout set on the
/// request wins), and is one client span and one metric. Calls in work at the same time are limited, and a peer that
/// has not answered many times in a row is left alone for a moment; both are shared by clones. Streams without end
/// pass freely. Calls spread over all replicas behind the peer's name.
#[derive(Debug, Clone)]
pub struct PeerChannel {
    replicas: Arc<Replicas>,
    peer: Arc<str>,
    caller: &'static str,
    principal: Option<HeaderValue>,
    /// The token or API key of a program that is no service.
    authorization: Option<Arc<Watched<HeaderValue>>>,
    timeout: Duration,
    gate: Arc<Gate>,
}

/// A channel to `peer` for the service `caller` (`"order"`). Connects at the first call, and again
/// whenever the connection is lost.
///
/// # Errors
/// When the address is malformed.
pub fn connect(
    peer: &str,
    config: &PeerConfig,
    caller: &'static str,
) -> Result<PeerChannel, ConfigError> {
    connect_with(peer, config, caller, &Tls::default())
}

/// [`connect`] with the service's own certificate, for `https://`.
pub(crate) fn connect_with(
    peer: &str,
    config: &PeerConfig,
    caller: &'static str,
    tls: &Tls,
) -> Result<PeerChannel, ConfigError> {
    let resolver: Arc<dyn Resolve> = if config.addresses.is_empty() {
        Arc::new(SystemResolver)
    } else {
        Arc::new(Listed(config.addresses.clone()))
    };
    channel(resolver, peer, config, caller, tls)
}

/// [`connect`] for a program that is no service of ours and proves who it is by these.
///
/// # Errors
/// When the address is malformed, or is `https://` and the credentials have no TLS.
pub fn connect_as(
    credentials: &Credentials,
    peer: &str,
    config: &PeerConfig,
    caller: &'static str,
) -> Result<PeerChannel, ConfigError> {
    if config.url.starts_with("https://") && credentials.tls.is_none() {
        let message = format!("{}: https:// without TLS", config.url);
        return Err(ConfigError::Invalid(message));
    }
    let tls = Tls {
        server: None,
        client: credentials.tls.clone(),
    };
    let mut channel = connect_with(peer, config, caller, &tls)?;
    channel.authorization.clone_from(&credentials.authorization);
    Ok(channel)
}

/// [`connect`] with a resolver of one's own.
///
/// # Errors
/// When the address is malformed.
pub fn connect_by(
    resolver: Arc<dyn Resolve>,
    peer: &str,
    config: &PeerConfig,
    caller: &'static str,
) -> Result<PeerChannel, ConfigError> {
    channel(resolver, peer, config, caller, &Tls::default())
}

/// An endpoint without TLS, which we speak ourselves: tonic would want to. Requests keep the address and its scheme.
fn plain(uri: &Uri) -> Result<Endpoint, http::Error> {
    let mut parts = uri.clone().into_parts();
    parts.scheme = Some(Scheme::HTTP);
    if parts.path_and_query.is_none() {
        parts.path_and_query = Some(PathAndQuery::from_static("/"));
    }
    let endpoint = Endpoint::from(Uri::from_parts(parts)?);
    Ok(endpoint.origin(uri.clone()))
}

fn channel(
    resolver: Arc<dyn Resolve>,
    peer: &str,
    config: &PeerConfig,
    caller: &'static str,
    tls: &Tls,
) -> Result<PeerChannel, ConfigError> {
    let invalid =
        |error: &dyn std::fmt::Display| ConfigError::Invalid(format!("peers.{peer}.url: {error}"));
    let uri: Uri = config.url.parse().map_err(|error| invalid(&error))?;
    let endpoint = plain(&uri)
        .map_err(|error| invalid(&error))?
        // Of TCP and TLS together.
        .connect_timeout(2 * CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true);
    let peer: Arc<str> = Arc::from(peer);
    let every = Duration::from_millis(config.resolve_ms);
    let connector = Connector {
        uri,
        endpoint,
        tls: tls.client.clone(),
    };
    let replicas = Replicas::new(Arc::clone(&peer), connector, resolver, every);
    let channel = PeerChannel {
        replicas: Arc::new(replicas),
        gate: Arc::new(Gate::new(Arc::clone(&peer), config)),
        peer,
        caller,
        principal: None,
        authorization: None,
        timeout: Duration::from_millis(config.timeout_ms),
    };
    let service = Principal::try_new(PrincipalKind::Service, caller)
        .map_err(|error| ConfigError::Invalid(error.to_string()))?;
    Ok(channel.on_behalf_of(&service))
}

impl PeerChannel {
    /// The same channel with calls made on behalf of somebody else.
    #[must_use]
    pub fn on_behalf_of(&self, principal: &Principal) -> Self {
        Self {
            // A principal is visible ASCII.
            principal: HeaderValue::from_str(&principal.to_string()).ok(),
            ..self.clone()
        }
    }

    /// Name of the peer.
    pub fn peer(&self) -> &str {
        &self.peer
    }

    fn prepare(&self, request: &mut Request<Body>, method: Option<&Method>, span: &Span) {
        let headers = request.headers_mut();
        if let Some(principal) = &self.principal {
            headers
                .entry(PRINCIPAL)
                .or_insert_with(|| principal.clone());
        }
        if let Some(authorization) = &self.authorization {
            headers
                .entry(AUTHORIZATION)
                .or_insert_with(|| HeaderValue::clone(&authorization.get()));
        }
        TraceContext::of(span).inject(headers);
        let is_endless = method.is_some_and(|method| method.is_endless);
        if is_endless || headers.contains_key(GRPC_TIMEOUT) {
            return;
        }
        let left = deadline::time_left()
            .unwrap_or(self.timeout)
            .min(self.timeout);
        if let Some(value) = grpc_timeout(left) {
            headers.insert(GRPC_TIMEOUT, value);
        }
    }
}

fn grpc_timeout(left: Duration) -> Option<HeaderValue> {
    // At most eight digits; 27 hours are enough for everybody.
    let millis = left.as_millis().min(99_999_999);
    HeaderValue::from_str(&format!("{millis}m")).ok()
}

impl Service<Request<Body>> for PeerChannel {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        // The channel is asked in `call`, inside of the span and the deadline.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let method = method::of_path(request.uri().path());
        let span = span(&self.peer, method.as_ref());
        self.prepare(&mut request, method.as_ref(), &span);
        let is_endless = method.as_ref().is_some_and(|method| method.is_endless);
        let label = method.map_or("unknown", |method| method.label);
        let mut observed = Observed::start(Side::Client, self.caller, label, span.clone());
        let (replicas, peer) = (Arc::clone(&self.replicas), Arc::clone(&self.peer));
        let gate = (!is_endless).then(|| Arc::clone(&self.gate));
        let call = async move {
            let pass = match gate {
                Some(gate) => match gate.enter().await {
                    Ok(pass) => Some(pass),
                    Err(status) => {
                        observed.finish(status.code(), "");
                        return Err(BoxError::from(status));
                    }
                },
                None => None,
            };
            match replicas.send(request).await {
                Ok(response) => {
                    if let Some(pass) = pass {
                        // An error without a message stands in the headers.
                        let said = Status::from_header_map(response.headers());
                        pass.settle(said.map_or(Code::Ok, |status| status.code()));
                    }
                    observed.finish_if_said(response.headers());
                    Ok(response.map(|body| Body::new(ObservedBody::of_peer(body, observed))))
                }
                Err(error) => {
                    let status = not_answered(error, &peer);
                    if let Some(pass) = pass {
                        pass.settle(status.code());
                    }
                    observed.finish(status.code(), "");
                    Err(BoxError::from(status))
                }
            }
        };
        Box::pin(call.instrument(span))
    }
}

fn span(peer: &str, method: Option<&Method>) -> Span {
    let Some(method) = method.filter(|method| !method.is_endless) else {
        return Span::none();
    };
    let (service, name) = method.label.split_once('/').unwrap_or((method.label, ""));
    tracing::info_span!(
        "call",
        otel.name = method.span,
        otel.kind = "client",
        rpc.system = "grpc",
        rpc.service = service,
        rpc.method = name,
        rpc.grpc.status_code = field::Empty,
        server.address = peer,
        oms.order.id = field::Empty,
        oms.error.reason = field::Empty,
    )
}

fn late(peer: &str) -> Status {
    let message = format!("{peer} did not answer in time");
    ApiError::new(
        Code::DeadlineExceeded,
        ErrorReason::DeadlineExceeded,
        message,
    )
    .into()
}

/// The status of a call that got no answer. Tonic says CANCELLED for a deadline that passed here.
fn not_answered(error: BoxError, peer: &str) -> Status {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&*error);
    while let Some(source) = cause {
        if source.is::<TimeoutExpired>() {
            return late(peer);
        }
        cause = source.source();
    }
    match Status::try_from_error(error) {
        Ok(status) => status,
        // The transport failed in whatever way: the peer cannot be reached.
        Err(error) => Status::unavailable(format!("{peer}: {}", Chain(&*error))),
    }
}
