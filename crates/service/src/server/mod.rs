//! The gRPC server: the services of a program and everything around them.

mod accept;
mod admin;
mod audit;
pub(crate) mod body;
mod complete;
pub(crate) mod deadline;
mod feed;
mod front;
mod greeting;
#[cfg(test)]
mod matrix;
pub(crate) mod method;
mod plumbing;
mod stack;

use std::convert::Infallible;
use std::sync::Arc;

use axum::response::IntoResponse;
use http::Request;
use oms_core::IdSource;
use oms_postgres::Db;
use oms_proto::audit::v1::audit_service_server::AuditServiceServer;
use oms_proto::events::v1::event_feed_service_server::EventFeedServiceServer;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tonic_web::GrpcWebLayer;
use tower::util::Either;
use tower::{Layer, Service};
use tower_http::cors::CorsLayer;

pub(crate) use admin::Admin;
pub use front::Unproved;
pub use method::NoScope;

use crate::auth::Guard;
use crate::config::Common;
use crate::tls::Tls;
use accept::Acceptor;
use audit::Audit;
use feed::Feed;
use front::Front;
use method::Methods;
use plumbing::Plumbing;
use stack::{Shared, Stack};

/// Collects the gRPC services of a program.
pub(crate) struct Services {
    routes: Routes,
    names: Vec<&'static str>,
    /// Plain HTTP, below `/webhooks/`.
    http: axum::Router,
}

impl Services {
    pub(crate) fn new() -> Self {
        Self {
            routes: Routes::default(),
            names: Vec::new(),
            http: axum::Router::new(),
        }
    }

    pub(crate) fn add<S>(&mut self, service: S)
    where
        S: Service<Request<Body>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Response: IntoResponse,
        S::Future: Send + 'static,
    {
        self.routes = std::mem::take(&mut self.routes).add_service(service);
        self.names.push(S::NAME);
    }

    pub(crate) fn add_http(&mut self, routes: axum::Router) {
        self.http = std::mem::take(&mut self.http).merge(routes);
    }
}

/// Who comes in, and how.
pub(crate) struct Door {
    pub(crate) guard: Guard,
    pub(crate) tls: Tls,
}

/// A server that is ready to accept.
pub(crate) struct Server {
    stack: Stack,
    http: axum::Router,
    acceptor: Acceptor,
    insecure_dev: bool,
    health: HealthReporter,
    names: Vec<&'static str>,
}

impl Server {
    /// Adds health, reflection, event feed and audit log to the services, and puts the stack around all.
    ///
    /// # Errors
    /// [`NoScope`] when a method may be called by nobody.
    pub(crate) fn new(
        service: &'static str,
        common: &Common,
        door: Door,
        mut services: Services,
        db: &Db,
        ids: Arc<dyn IdSource>,
        draining: CancellationToken,
    ) -> Result<Self, NoScope> {
        services.add(EventFeedServiceServer::new(Feed::new(db.clone(), service)));
        services.add(AuditServiceServer::new(Audit::new(db.clone())));
        let (health, health_server) = tonic_health::server::health_reporter();
        services.add(health_server);
        if common.insecure_dev {
            add_reflection(&mut services);
        }
        let per_address_max = common.server.connections_per_address(common.insecure_dev);
        // Where addresses tell nobody apart, they do not for health either.
        let plumbing = Plumbing::new(common.server.health_calls_max, per_address_max > 0);
        let shared = Shared {
            service,
            methods: Methods::of_services(service, &services.names)?,
            guard: door.guard,
            limits: common.server.clone(),
            permits: Semaphore::new(common.server.calls_max),
            webhook_permits: Semaphore::new(common.server.webhooks_max),
            plumbing,
            ids,
            draining,
        };
        Ok(Self {
            stack: Stack::new(shared, services.routes),
            http: services.http,
            acceptor: Acceptor {
                service_name: service,
                tls: door.tls.server,
                limits: common.server.clone(),
                per_address_max,
            },
            insecure_dev: common.insecure_dev,
            health,
            names: services.names,
        })
    }

    /// Says of every service, and of the server as a whole, whether it serves.
    pub(crate) async fn say(&self, status: ServingStatus) {
        self.health.set_service_status("", status).await;
        for name in &self.names {
            self.health.set_service_status(name, status).await;
        }
    }

    /// Serves until `stop`, then lets calls in work finish.
    pub(crate) async fn serve(&self, listener: TcpListener, stop: CancellationToken) {
        // grpc-web outside of the stack, which then sees plain gRPC only; CORS outside of that, as
        // browsers ask before they call.
        let service = GrpcWebLayer::new().layer(self.stack.clone());
        let service = if self.insecure_dev {
            Either::Left(CorsLayer::permissive().layer(service))
        } else {
            Either::Right(service)
        };
        // Outermost: plain HTTP is none of the others' business.
        let service = Front {
            grpc: service,
            routes: self.http.clone(),
            shared: self.stack.shared(),
        };
        accept::serve(self.acceptor.clone(), listener, service, stop).await;
    }
}

/// Reflection tells of the services that are served here, not of the whole contract.
fn add_reflection(services: &mut Services) {
    let names = services.names.clone();
    let builder = || {
        let builder = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(oms_proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
        names
            .iter()
            .fold(builder, |builder, name| builder.with_service_name(*name))
    };
    match (builder().build_v1(), builder().build_v1alpha()) {
        (Ok(v1), Ok(v1alpha)) => {
            services.add(v1);
            services.add(v1alpha);
        }
        // Only for a descriptor set that cannot be decoded, which tests of the contract rule out.
        (Err(error), _) | (_, Err(error)) => tracing::error!(%error, "no reflection"),
    }
}
