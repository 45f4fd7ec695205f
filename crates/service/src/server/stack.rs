//! Everything that happens to a call before and after its handler, from the outside in.

use std::convert::Infallible;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{HeaderName, HeaderValue, Request, Response};
use metrics::counter;
use oms_core::IdSource;
use oms_proto::common::v1::ErrorReason;
use oms_telemetry::{TraceContext, set_remote_parent};
use tokio::sync::Semaphore;
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
use crate::server::body::ObservedBody;
use crate::server::complete::complete_headers;
use crate::server::deadline;
use crate::server::method::{Found, Method, Methods};
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
    pub(crate) ids: Arc<dyn IdSource>,
    /// Ends answers without an end.
    pub(crate) draining: CancellationToken,
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
    async fn handle(&self, mut routes: Routes, mut request: Request<Body>) -> Response<Body> {
        let method = match self.methods.find(request.uri().path()) {
            Found::Method(method) => Some(method),
            Found::Nothing => None,
            Found::Plumbing => {
                let Ok(response) = routes.call(request).await;
                // Those who watch health are told of the drain first.
                let ends = Some(self.draining.clone());
                return response.map(|body| Body::new(ObservedBody::of_server(body, None, ends)));
            }
        };
        let request_id = self.stamp(&mut request);
        let span = method.map_or_else(Span::none, |method| span(method, &request));
        let label = method.map_or("unknown", |method| method.label);
        let mut observed = Observed::start(Side::Server, self.service, label, span.clone());

        let answer = self.admit(method, routes, request);
        let answer = answer.instrument(span.clone()).await;
        let (mut response, place) =
            answer.unwrap_or_else(|error| (Status::from(error).into_http(), None));

        // In the span, as defects are logged here and named to the caller by their trace.
        span.in_scope(|| complete_headers(response.headers_mut()));
        observed.finish_if_said(response.headers());
        response.headers_mut().insert(REQUEST_ID, request_id);
        let ends = method.filter(|method| method.is_endless);
        let ends = ends.map(|_| self.draining.clone());
        response.map(|body| {
            Body::new(ObservedBody::of_server(body, Some(observed), ends).holding(place))
        })
    }

    /// The inner half: limits, deadline, authentication, authorisation, handler. Answers with the place that the answer holds.
    async fn admit(
        &self,
        method: Option<&Method>,
        mut routes: Routes,
        mut request: Request<Body>,
    ) -> Result<(Response<Body>, Option<Place>), ApiError> {
        let _permit = match method {
            Some(method) if method.is_endless => None,
            _ => Some(self.permits.try_acquire().map_err(|_| self.shed())?),
        };
        let deadline = deadline::of_headers(request.headers(), self.limits.call_timeout());
        let certificate = request.extensions().get::<UriNames>();
        let peer = peer_addr(&request);
        let proof = self
            .guard
            .authenticate(request.headers(), certificate, peer);
        let caller = proof.await?;
        Span::current().record("oms.principal", field::display(&caller.access.principal));
        let place = self.guard.enter(&caller)?;
        let Some(method) = method else {
            return Err(ApiError::unimplemented("the server has no such method"));
        };
        auth::authorise(&caller, method)?;
        reach::check_method(&caller.access, request.uri().path())?;
        request.extensions_mut().insert(CallAccess(caller.access));

        let handler = AssertUnwindSafe(deadline::within(deadline, routes.call(request)));
        match tokio::time::timeout_at(deadline, handler.catch_unwind()).await {
            // An answer without an end is in work until its end, any other one was until here.
            Ok(Ok(Ok(response))) => Ok((response, place.filter(|_| method.is_endless))),
            Ok(Err(panic)) => Err(ApiError::internal(panic_text(&*panic))),
            Err(_) => {
                let message = "the deadline passed before the work was done";
                let reason = ErrorReason::DeadlineExceeded;
                Err(ApiError::new(Code::DeadlineExceeded, reason, message))
            }
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
