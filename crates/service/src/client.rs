//! Calls of peers: who calls, on whose behalf, within which trace and deadline.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use h2::Reason;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use oms_core::{Principal, PrincipalKind};
use oms_proto::common::v1::ErrorReason;
use oms_telemetry::TraceContext;
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, TimeoutExpired};
use tower::{Service, ServiceExt};
use tracing::{Instrument, Span, field};

use crate::auth::PRINCIPAL_HEADER;
use crate::config::{ConfigError, PeerConfig};
use crate::error::ApiError;
use crate::gate::Gate;
use crate::observe::{Observed, Side};
use crate::server::body::ObservedBody;
use crate::server::deadline;
use crate::server::method::{self, Method};
use crate::tls::{Tls, TlsConnect};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

const PRINCIPAL: HeaderName = HeaderName::from_static(PRINCIPAL_HEADER);
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a request is handed to a connection before the caller hears that none took it.
const SENDS_MAX: u32 = 8;

/// A channel to a peer, for generated clients: `ReservationServiceClient::new(channel)`. Cheap to clone.
///
/// Every call carries the trace, names the calling service, has a deadline (the peer's configured
/// timeout, or what is left to the call that is being answered if that is less; a timeout set on the
/// request wins), and is one client span and one metric. Calls in work at the same time are limited, and a peer that
/// has not answered many times in a row is left alone for a moment; both are shared by clones. Streams without end
/// pass freely.
#[derive(Debug, Clone)]
pub struct PeerChannel {
    inner: Channel,
    peer: Arc<str>,
    caller: &'static str,
    principal: Option<HeaderValue>,
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
    let endpoint = Endpoint::from_shared(config.url.clone())
        .map_err(|error| ConfigError::Invalid(format!("peers.{peer}.url: {error}")))?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true);
    let inner = match &tls.client {
        Some(client) if endpoint.uri().scheme_str() == Some("https") => {
            endpoint.connect_with_connector_lazy(TlsConnect(Arc::clone(client)))
        }
        _ => endpoint.connect_lazy(),
    };
    let peer: Arc<str> = Arc::from(peer);
    let channel = PeerChannel {
        inner,
        gate: Arc::new(Gate::new(Arc::clone(&peer), config)),
        peer,
        caller,
        principal: None,
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
        TraceContext::of(span).inject(headers);
        let is_endless = method.is_some_and(|method| method.is_endless);
        if is_endless || headers.contains_key(GRPC_TIMEOUT) {
            return;
        }
        let left = deadline::time_left()
            .unwrap_or(self.timeout)
            .min(self.timeout);
        // At most eight digits; 27 hours are enough for everybody.
        let millis = left.as_millis().min(99_999_999);
        if let Ok(value) = HeaderValue::from_str(&format!("{millis}m")) {
            headers.insert(GRPC_TIMEOUT, value);
        }
    }
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
        let (channel, peer) = (self.inner.clone(), Arc::clone(&self.peer));
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
            match send(channel, request).await {
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

/// Servers end connections by age and when they stop, so that callers spread anew. Whoever calls at that moment must not
/// notice.
async fn send(channel: Channel, request: Request<Body>) -> Result<Response<Body>, BoxError> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let mut sends = 1;
    loop {
        let body = Body::new(Full::new(body.clone()));
        let request = Request::from_parts(parts.clone(), body);
        match channel.clone().oneshot(request).await {
            Err(error) if sends < SENDS_MAX && was_never_sent(&error) => sends += 1,
            answered => return answered.map_err(BoxError::from),
        }
    }
}

/// Whether the peer has certainly not begun with a request. hyper calls "canceled" what waited for a connection that
/// closed before it was written to it. A peer that says goodbye names the last request that it takes, and refuses what
/// comes later (RFC 9113, sections 6.8 and 8.7).
fn was_never_sent(error: &tonic::transport::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(source) = cause {
        if let Some(stream) = source.downcast_ref::<h2::Error>() {
            let is_goodbye = stream.is_go_away() && stream.reason() == Some(Reason::NO_ERROR);
            let is_refused = stream.reason() == Some(Reason::REFUSED_STREAM);
            return stream.is_remote() && (is_goodbye || is_refused);
        }
        let transport = source.downcast_ref::<hyper::Error>();
        if transport.is_some_and(hyper::Error::is_canceled) {
            return true;
        }
        cause = source.source();
    }
    false
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

/// The status of a call that got no answer. Tonic says CANCELLED for a deadline that passed here.
fn not_answered(error: BoxError, peer: &str) -> Status {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&*error);
    while let Some(source) = cause {
        if source.is::<TimeoutExpired>() {
            let message = format!("{peer} did not answer in time");
            let reason = ErrorReason::DeadlineExceeded;
            return ApiError::new(Code::DeadlineExceeded, reason, message).into();
        }
        cause = source.source();
    }
    match Status::try_from_error(error) {
        Ok(status) => status,
        // The transport failed in whatever way: the peer cannot be reached.
        Err(error) => Status::unavailable(format!("{peer}: {error}")),
    }
}
