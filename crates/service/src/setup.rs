//! What a program is put together with.

use std::convert::Infallible;
use std::sync::Arc;

use axum::response::IntoResponse;
use http::Request;
use oms_core::{Clock, IdSource};
use oms_postgres::Db;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::server::NamedService;
use tower::Service;

use crate::background::Background;
use crate::client::{self, PeerChannel};
use crate::config::{Common, ConfigError};
use crate::consumer::FeedConsumer;
use crate::program::Runtime;
use crate::server::Services;
use crate::tls::Tls;

/// Given to [`Program::build`](crate::Program::build): dependencies to take, and places to put the
/// service's parts into. Health, reflection, the event feed, relay and maintenance are there already.
pub struct Setup {
    /// The service's database, connected and migrated.
    pub db: Db,
    /// Where all time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where all new ids come from.
    pub ids: Arc<dyn IdSource>,
    pub(crate) name: &'static str,
    pub(crate) common: Common,
    pub(crate) tls: Tls,
    pub(crate) services: Services,
    pub(crate) background: Background,
    pub(crate) draining: CancellationToken,
}

impl Setup {
    pub(crate) fn new(
        name: &'static str,
        (common, tls): (Common, Tls),
        db: Db,
        runtime: Runtime,
        services: Services,
        background: Background,
    ) -> Self {
        Self {
            db,
            clock: runtime.clock,
            ids: runtime.ids,
            name,
            common,
            tls,
            services,
            background,
            draining: CancellationToken::new(),
        }
    }

    /// Serves a gRPC service: `setup.serve(OrderServiceServer::new(api))`.
    pub fn serve<S>(&mut self, service: S)
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
        self.services.add(service);
    }

    /// Serves plain HTTP below `/webhooks/`, on the port of gRPC and within its limits. There is no principal:
    /// handlers check who calls, for instance by a signature. The admin port would be the wrong place: nobody
    /// outside may reach it.
    pub fn serve_http(&mut self, routes: axum::Router) {
        self.services.add_http(routes);
    }

    /// A channel to a peer that the configuration names under `peers`.
    ///
    /// # Errors
    /// When it does not.
    pub fn peer(&self, name: &str) -> Result<PeerChannel, ConfigError> {
        let missing = || ConfigError::Invalid(format!("peers.{name}.url: is missing"));
        let config = self.common.peers.get(name).ok_or_else(missing)?;
        client::connect_with(name, config, self.name, &self.tls)
    }

    /// A consumer of a peer's feed, to be completed and given to [`Setup::background`]:
    /// `setup.background("shipping feed", |cancel| consumer.spawn(cancel))`.
    ///
    /// # Errors
    /// When the configuration does not name the peer.
    pub fn consumer(&self, source: &'static str) -> Result<FeedConsumer, ConfigError> {
        Ok(FeedConsumer::new(
            self.db.clone(),
            self.peer(source)?,
            self.name,
            source,
        ))
    }

    /// Starts background work, such as a task runner. It must end soon after its token is canceled.
    /// Ending earlier, or panicking, ends the program with an error.
    pub fn background(
        &mut self,
        name: &'static str,
        start: impl FnOnce(CancellationToken) -> JoinHandle<()>,
    ) {
        let work = start(self.background.cancel_token());
        self.background.watch(name, work);
    }

    /// Canceled when the program begins to drain.
    pub fn draining(&self) -> CancellationToken {
        self.draining.clone()
    }
}
