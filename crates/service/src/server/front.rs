//! Plain HTTP on the port of gRPC: what a program routes itself, such as webhooks. Everything else is gRPC.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use futures::future::{BoxFuture, Either};
use http::header::RETRY_AFTER;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use tonic::body::Body;
use tower::Service;

use super::stack::{Shared, peer_addr};

/// Paths below this go to the program's own routes. No gRPC method has such a path.
const PREFIX: &str = "/webhooks/";
/// Longest body in bytes that is kept for a handler, which may want less.
const BODY_MAX: usize = 512 * 1024;

/// The gRPC service `S` with the HTTP routes before it.
#[derive(Clone)]
pub(crate) struct Front<S> {
    pub(crate) grpc: S,
    pub(crate) routes: Router,
    pub(crate) shared: Arc<Shared>,
}

impl<S> Service<Request<Body>> for Front<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<S::Future, BoxFuture<'static, Result<Response<Body>, Infallible>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.grpc.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if !request.uri().path().starts_with(PREFIX) {
            return Either::Left(self.grpc.call(request));
        }
        let (mut routes, shared) = (self.routes.clone(), Arc::clone(&self.shared));
        Either::Right(Box::pin(async move {
            Ok(answer(&mut routes, &shared, request).await)
        }))
    }
}

/// Put into the extensions of an answer to a request whose sender did not prove who it is: such are counted per address.
#[derive(Debug, Clone, Copy)]
pub struct Unproved;

/// Within limits of their own, as there is no principal: handlers check who calls by a signature. The body is read before
/// the handler runs, so that who sends it slowly is cut off early.
async fn answer(routes: &mut Router, shared: &Shared, request: Request<Body>) -> Response<Body> {
    let peer = peer_addr(&request);
    if let Err(wait) = shared.guard.hear_webhook(peer) {
        let mut response = status(StatusCode::TOO_MANY_REQUESTS);
        let seconds = HeaderValue::from(wait.as_secs() + 1);
        response.headers_mut().insert(RETRY_AFTER, seconds);
        return response;
    }
    let Ok(_permit) = shared.webhook_permits.try_acquire() else {
        return status(StatusCode::SERVICE_UNAVAILABLE);
    };
    let (head, body) = request.into_parts();
    let body = Limited::new(body, BODY_MAX).collect();
    let body = match tokio::time::timeout(shared.limits.handshake_timeout(), body).await {
        Ok(Ok(body)) => Full::new(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return status(StatusCode::PAYLOAD_TOO_LARGE);
        }
        Ok(Err(_)) => return status(StatusCode::BAD_REQUEST),
        Err(_) => return status(StatusCode::REQUEST_TIMEOUT),
    };
    let request = Request::from_parts(head, body);
    let patience = shared.limits.call_timeout();
    match tokio::time::timeout(patience, routes.call(request)).await {
        Ok(Ok(response)) => {
            if response.extensions().get::<Unproved>().is_some() {
                shared.guard.unproved_webhook(peer);
            }
            response.map(Body::new)
        }
        Err(_) => status(StatusCode::GATEWAY_TIMEOUT),
    }
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
