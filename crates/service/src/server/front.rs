//! Plain HTTP on the port of gRPC: what a program routes itself, such as webhooks. Everything else is gRPC.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use futures::future::{BoxFuture, Either};
use http::{Request, Response, StatusCode};
use tonic::body::Body;
use tower::Service;

use super::stack::Shared;

/// Paths below this go to the program's own routes. No gRPC method has such a path.
const PREFIX: &str = "/webhooks/";

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

/// Within the limits that calls have. There is no principal: handlers check who calls by a signature.
async fn answer(routes: &mut Router, shared: &Shared, request: Request<Body>) -> Response<Body> {
    let Ok(_permit) = shared.permits.try_acquire() else {
        return status(StatusCode::SERVICE_UNAVAILABLE);
    };
    let patience = shared.limits.call_timeout();
    match tokio::time::timeout(patience, routes.call(request)).await {
        Ok(Ok(response)) => response.map(Body::new),
        Err(_) => status(StatusCode::GATEWAY_TIMEOUT),
    }
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
