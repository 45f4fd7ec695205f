//! A program that runs, and how it ends.

use std::net::SocketAddr;
use std::time::Duration;

use oms_postgres::Db;
use oms_telemetry::Metrics;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;

use crate::background::Background;
use crate::config::ServerConfig;
use crate::program::StartError;
use crate::ready;
use crate::server::{Admin, Server};

/// Longest wait for the connections to the database to close.
const DATABASE_CLOSE_MAX: Duration = Duration::from_secs(5);

/// A running program. Dropping it drains the program without waiting for it.
#[derive(Debug)]
pub struct ServiceHandle {
    /// Name of the service.
    pub name: &'static str,
    /// Address of the gRPC port.
    pub addr: SocketAddr,
    /// Address of the admin port.
    pub admin_addr: SocketAddr,
    stop: CancellationToken,
    main: JoinHandle<Result<(), StartError>>,
}

impl ServiceHandle {
    /// `http://host:port` of the gRPC port.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Drains: says NOT_SERVING, finishes calls, ends background work.
    ///
    /// # Errors
    /// When background work failed, now or before.
    pub async fn shutdown(mut self) -> Result<(), StartError> {
        self.stop.cancel();
        self.join().await
    }

    /// Starts draining without waiting; [`ServiceHandle::join`] waits.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits until the program has ended, which it does after [`ServiceHandle::stop`], or by itself
    /// when background work fails. Must not be called again after it answered.
    ///
    /// # Errors
    /// When background work failed.
    pub async fn join(&mut self) -> Result<(), StartError> {
        match (&mut self.main).await {
            Ok(result) => result,
            Err(error) => Err(StartError::Broken(error.to_string())),
        }
    }

    /// Ends the program at once, as a crash would: nothing drains, nothing is finished.
    pub async fn kill(mut self) {
        self.main.abort();
        let _ = (&mut self.main).await;
    }
}

impl Drop for ServiceHandle {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Everything that a running program owns.
pub(crate) struct Running {
    pub(crate) name: &'static str,
    pub(crate) server: Server,
    pub(crate) limits: ServerConfig,
    pub(crate) db: Db,
    /// The service's own background work.
    pub(crate) background: Background,
    /// What outlives it, so that its last events leave: relay and maintenance.
    pub(crate) plumbing: Background,
    pub(crate) draining: CancellationToken,
    pub(crate) metrics: Metrics,
}

impl Running {
    pub(crate) async fn spawn(
        self,
        listener: TcpListener,
        admin_listener: TcpListener,
    ) -> Result<ServiceHandle, StartError> {
        let (addr, admin_addr) = (local_addr(&listener)?, local_addr(&admin_listener)?);
        let (name, stop) = (self.name, CancellationToken::new());
        self.server.say(ServingStatus::Serving).await;
        tracing::info!(service = name, %addr, %admin_addr, "serving");
        let main = tokio::spawn(self.run(listener, admin_listener, stop.clone()));
        Ok(ServiceHandle {
            name,
            addr,
            admin_addr,
            stop,
            main,
        })
    }

    async fn run(
        mut self,
        listener: TcpListener,
        admin_listener: TcpListener,
        stop: CancellationToken,
    ) -> Result<(), StartError> {
        let ready = watch::Sender::new(true);
        let admin = Admin {
            ready: ready.subscribe(),
            metrics: self.metrics.clone(),
            draining: self.draining.clone(),
        };
        // All of it is polled here and not spawned, so that aborting this task ends all of it.
        let end_admin = CancellationToken::new();
        let admin = admin.serve(admin_listener, end_admin.clone());
        let program = async {
            let refuse_calls = CancellationToken::new();
            let calls = self.server.serve(listener, refuse_calls.clone());
            let until_drained = async {
                let background = (&mut self.background, &mut self.plumbing);
                let failure = tokio::select! {
                    failure = until_end(self.name, background, &stop) => failure,
                    never = ready::watch(self.name, &self.db, &self.server, &ready) => match never {},
                };
                ready::tell(self.name, false);
                self.server.say(ServingStatus::NotServing).await;
                self.draining.cancel();
                tokio::time::sleep(Duration::from_millis(self.limits.drain_delay_ms)).await;
                refuse_calls.cancel();
                failure
            };
            let (failure, ()) = tokio::join!(until_drained, calls);
            let patience = self.limits.drain_timeout();
            let ended = self.background.end(patience).await;
            let ended = ended.and(self.plumbing.end(patience).await);
            // Waits for whoever still holds a connection, who then is none of ours.
            let _ = tokio::time::timeout(DATABASE_CLOSE_MAX, self.db.close()).await;
            end_admin.cancel();
            failure.map_or(ended, Err)
        };
        let (result, ()) = tokio::join!(program, admin);
        tracing::info!(service = self.name, "ended");
        result
    }
}

/// Until the program is told to end, or has to because of this failure.
async fn until_end(
    service: &str,
    (background, plumbing): (&mut Background, &mut Background),
    stop: &CancellationToken,
) -> Option<StartError> {
    let failure = tokio::select! {
        () = stop.cancelled() => {
            tracing::info!(service, "draining");
            return None;
        }
        failure = background.failure() => failure,
        failure = plumbing.failure() => failure,
    };
    tracing::error!(service, error = %failure, "draining");
    Some(failure)
}

fn local_addr(listener: &TcpListener) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(|source| StartError::Bind {
        addr: SocketAddr::from(([0, 0, 0, 0], 0)),
        source,
    })
}
