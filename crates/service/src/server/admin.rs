//! The admin port: probes and metrics over HTTP.

use axum::Router;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use oms_telemetry::Metrics;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

#[derive(Clone)]
pub(crate) struct Admin {
    /// Whether the database answers.
    pub(crate) ready: watch::Receiver<bool>,
    pub(crate) metrics: Metrics,
    pub(crate) draining: CancellationToken,
}

impl Admin {
    /// Serves until `stop`.
    pub(crate) async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let router = Router::new()
            .route("/livez", get(async || "ok\n"))
            .route("/readyz", get(ready))
            .route("/metrics", get(metrics))
            .with_state(self);
        let served = axum::serve(listener, router)
            .with_graceful_shutdown(stop.cancelled_owned())
            .await;
        if let Err(error) = served {
            tracing::warn!(%error, "the admin port failed");
        }
    }
}

/// Ready means: calls can be answered. Redis is not asked, as everything works without it.
async fn ready(State(admin): State<Admin>) -> (StatusCode, &'static str) {
    if admin.draining.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n");
    }
    if !*admin.ready.borrow() {
        let why = "the database does not answer\n";
        return (StatusCode::SERVICE_UNAVAILABLE, why);
    }
    (StatusCode::OK, "ok\n")
}

async fn metrics(State(admin): State<Admin>, headers: HeaderMap) -> impl IntoResponse {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    let page = admin.metrics.page(accept.unwrap_or_default());
    ([(CONTENT_TYPE, page.content_type)], page.text)
}
