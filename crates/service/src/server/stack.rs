//! Everything that happens to a call before and after its handler, from the outside in.

use std::convert::Infallible;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{HeaderName, HeaderValue, Request, Response};
use metrics::counter;
use oms_core::{IdSource, Principal};
use oms_proto::common::v1::ErrorReason;
use oms_telemetry::{TraceContext, set_remote_parent};
use tokio::sync::Semaphore;
use tokio::time::timeout_at;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::transport::server::TcpConnectInfo;
use tonic::{Code, Status};
use tower::Service;
use tracing::{Instrument, Span, field};

use crate::auth::{self, CallAccess, Guard, Place};
use crate::config::ServerConfig;
use crate::error::ApiError;
use crate::names;
use crate::observe::{Observed, Side};
use crate::reach;
use crate::server::body::{Ends, ObservedBody};
use crate::server::complete::complete_headers;
use crate::server::deadline;
use crate::server::method::{Found, Method, Methods};
use crate::server::plumbing::Plumbing;
use crate::tls::UriNames;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest request id of a caller that is taken over.
const REQUEST_ID_LEN_MAX: usize = 128;

/// What all calls of a server share.
pub(crate) struct Shared {
    pub(crate) service: &'static str,
    pub(crate) methods: Methods,
    pub(crate) guard: Guard,
    pub(crate) limits: ServerConfig,
    pub(crate) permits: Semaphore,
    /// Webhooks have permits of their own: whoever sends them has proved nothing yet, and must not keep callers out.
    pub(crate) webhook_permits: Semaphore,
    /// So have health and reflection.
    pub(crate) plumbing: Plumbing,
    pub(crate) ids: Arc<dyn IdSource>,
    /// Ends answers without an end.
    pub(crate) draining: CancellationToken,
}

/// A call that went through, with what its answer keeps.
struct Admitted {
    response: Response<Body>,
    place: Option<Place<Principal>>,
    /// How long the proof of its caller is good.
    good_for: Option<Duration>,
}

/// The gRPC services with everything around them.
#[derive(Clone)]
pub(crate) struct Stack {
    shared: Arc<Shared>,
    routes: Routes,
}

impl Stack {
    pub(crate) fn new(shared: Shared, routes: Routes) -> Self {
        Self {
            shared: Arc::new(shared),
            routes: routes.prepare(),
        }
    }

    /// What all calls share.
    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }
}

impl Service<Request<Body>> for Stack {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (shared, routes) = (Arc::clone(&self.shared), self.routes.clone());
        Box::pin(async move { Ok(shared.handle(routes, request).await) })
    }
}

impl Shared {
    /// The outer half: request id, trace, metrics, and the completion of whatever error comes out.
    async fn handle(&self, routes: Routes, mut request: Request<Body>) -> Response<Body> {
        let method = match self.methods.find(request.uri().path()) {
            Found::Method(method) => Some(method),
            Found::Nothing => None,
            Found::Plumbing => return self.plumb(routes, request).await,
        };
        let age = self.stream_age(&request);
        let request_id = self.stamp(&mut request);
        let span = method.map_or_else(Span::none, |method| span(method, &request));
        let label = method.map_or("unknown", |method| method.label);
        let mut observed = Observed::start(Side::Server, self.service, label, span.clone());

        let answer = self.admit(method, routes, request);
        let answer = answer.instrument(span.clone()).await;
        let admitted = answer.unwrap_or_else(|error| Admitted {
            response: Status::from(error).into_http(),
            place: None,
            good_for: None,
        });
        let mut response = admitted.response;

        // In the span, as defects are logged here and named to the caller by their trace.
        span.in_scope(|| complete_headers(response.headers_mut()));
        observed.finish_if_said(response.headers());
        response.headers_mut().insert(REQUEST_ID, request_id);
        let is_endless = method.is_some_and(|method| method.is_endless);
        let age = admitted.good_for.map_or(age, |left| left.min(age));
        let ends = is_endless.then(|| Ends::new(self.draining.clone(), age));
        response.map(|body| {
            let body = ObservedBody::of_server(body, Some(observed), ends);
            Body::new(body.holding(admitted.place))
        })
    }

    /// Health and reflection. Nobody has proved anything, so they have places of their own, a deadline, and an end.
    async fn plumb(&self, mut routes: Routes, request: Request<Body>) -> Response<Body> {
        let Some(place) = self.plumbing.enter(peer_addr(&request)) else {
            return Status::from(self.shed()).into_http();
        };
        let age = self.stream_age(&request);
        let deadline = deadline::of_headers(request.headers(), self.limits.call_timeout());
        let Ok(Ok(response)) = timeout_at(deadline, routes.call(request)).await else {
            return Status::from(late()).into_http();
        };
        // Those who watch health are told of the drain first.
        let ends = Some(Ends::new(self.draining.clone(), age));
        response.map(|body| {
            let body = ObservedBody::of_server(body, None, ends);
            Body::new(body.holding(place))
        })
    }

    /// When an answer without an end is ended, so that its caller proves again who it is. Spread by the peer's port, so that
    /// those of one moment do not all end at another.
    fn stream_age(&self, request: &Request<Body>) -> Duration {
        let age = self.limits.connection_age();
        let tcp = request.extensions().get::<TcpConnectInfo>();
        let addr = tcp.and_then(TcpConnectInfo::remote_addr);
        let port = addr.map_or(0, |addr| addr.port());
        age.saturating_sub(age / 640 * u32::from(port % 64))
    }

    /// The inner half: deadline, authentication, limits, authorisation, handler.
    async fn admit(
        &self,
        method: Option<&Method>,
        mut routes: Routes,
        mut request: Request<Body>,
    ) -> Result<Admitted, ApiError> {
        let deadline = deadline::of_headers(request.headers(), self.limits.call_timeout());
        let certificate = request.extensions().get::<UriNames>();
        let peer = peer_addr(&request);
        let proof = self
            .guard
            .authenticate(request.headers(), certificate, peer);
        let caller = timeout_at(deadline, proof).await.map_err(|_| late())??;
        // Behind the proof: whoever has none, or waits for an issuer that is slow, takes no room from callers.
        let _permit = match method {
            Some(method) if method.is_endless => None,
            _ => Some(self.permits.try_acquire().map_err(|_| self.shed())?),
        };
        Span::current().record("oms.principal", field::display(&caller.access.principal));
        let place = self.guard.enter(&caller)?;
        let Some(method) = method else {
            return Err(ApiError::unimplemented("the server has no such method"));
        };
        auth::authorise(&caller, method)?;
        reach::check_method(&caller.access, request.uri().path())?;
        request.extensions_mut().insert(CallAccess(caller.access));

        let handler = AssertUnwindSafe(deadline::within(deadline, routes.call(request)));
        match timeout_at(deadline, handler.catch_unwind()).await {
            Ok(Ok(Ok(response))) => Ok(Admitted {
                response,
                // An answer without an end is in work until its end, any other one was until here.
                place: place.filter(|_| method.is_endless),
                good_for: caller.good_for,
            }),
            Ok(Err(panic)) => Err(ApiError::internal(panic_text(&*panic))),
            Err(_) => Err(late()),
        }
    }

    fn shed(&self) -> ApiError {
        counter!(names::SERVER_SHED, "service" => self.service).increment(1);
        ApiError::overloaded()
    }

    /// Makes sure that the request has an id by which logs can be searched.
    fn stamp(&self, request: &mut Request<Body>) -> HeaderValue {
        let given = request.headers().get(REQUEST_ID);
        let is_fit = |id: &&HeaderValue| {
            (1..=REQUEST_ID_LEN_MAX).contains(&id.len())
                && id.as_bytes().iter().all(u8::is_ascii_graphic)
        };
        if let Some(id) = given.filter(is_fit) {
            return id.clone();
        }
        let id = self.ids.next().to_string();
        // A UUID is a header value.
        let id = HeaderValue::from_str(&id).unwrap_or(HeaderValue::from_static("-"));
        request.headers_mut().insert(REQUEST_ID, id.clone());
        id
    }
}

fn late() -> ApiError {
    let message = "the deadline passed before the work was done";
    let reason = ErrorReason::DeadlineExceeded;
    ApiError::new(Code::DeadlineExceeded, reason, message)
}

/// Where the connection of a request comes from.
pub(super) fn peer_addr(request: &Request<Body>) -> Option<IpAddr> {
    let tcp = request.extensions().get::<TcpConnectInfo>()?;
    tcp.remote_addr().map(|addr| addr.ip())
}

/// The span of a call, child of the caller's. Handlers fill in `oms.order.id`.
fn span(method: &Method, request: &Request<Body>) -> Span {
    if method.is_endless {
        return Span::none();
    }
    let (service, name) = method.label.split_once('/').unwrap_or((method.label, ""));
    let request_id = request.headers().get(REQUEST_ID);
    let span = tracing::info_span!(
        "rpc",
        otel.name = method.span,
        otel.kind = "server",
        rpc.system = "grpc",
        rpc.service = service,
        rpc.method = name,
        rpc.grpc.status_code = field::Empty,
        oms.principal = field::Empty,
        oms.request.id = request_id.and_then(|id| id.to_str().ok()),
        oms.order.id = field::Empty,
        oms.error.reason = field::Empty,
    );
    set_remote_parent(&span, &TraceContext::extract(request.headers()));
    span
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("a handler panicked: {}", text.unwrap_or("no text"))
}
