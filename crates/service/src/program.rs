//! Programs: what a service implements, and how it is started, alone or beside others in one process.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use oms_core::{Clock, IdSource, SystemClock, SystemIds};
use oms_postgres::{Db, SchemaError, audit, cursor, feed, maintenance, relay};
use serde::de::DeserializeOwned;
use sqlx::migrate::Migrator;
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::auth::Guard;
use crate::auth::watched;
use crate::background::Background;
use crate::config::{self, Common, ConfigError, Layers};
use crate::error::Chain;
use crate::handle::{Running, ServiceHandle};
use crate::names;
use crate::server::{Door, NoScope, Server, Services};
use crate::setup::Setup;
use crate::tls::Tls;

/// A service as a program. Implemented once per service, in `app.rs`; the README shows how.
pub trait Program: Send + Sync + 'static {
    /// The service's `Config`: a struct with `common: Common` and its own sections, all with
    /// `deny_unknown_fields`.
    type Config: DeserializeOwned + Send + Sync;

    /// Name of the service: `order`.
    const NAME: &'static str;

    /// The embedded, documented defaults as TOML.
    const DEFAULTS: &'static str;

    /// The service's migrations: `sqlx::migrate!()` in a static.
    fn migrations() -> &'static Migrator;

    /// The sections that every service has.
    fn common(config: &Self::Config) -> &Common;

    /// Checks what the types of `Config` cannot say; the text names the key.
    fn check(_config: &Self::Config) -> Result<(), String> {
        Ok(())
    }

    /// Checks what only serving needs, before a port opens: secrets that stand in files, addresses of providers. The text names
    /// the key. Whoever migrates a database may have none of it.
    fn check_serving(_config: &Self::Config) -> Result<(), String> {
        Ok(())
    }

    /// Puts the service together: adds its gRPC services and its background work to `setup`.
    fn build(
        config: Self::Config,
        setup: &mut Setup,
    ) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// What a program takes from its surroundings.
#[derive(Clone)]
pub struct Runtime {
    /// Where all time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where all new ids come from.
    pub ids: Arc<dyn IdSource>,
    /// Instead of `listen`: a port that is already bound, so that peers know it before any program
    /// runs.
    pub listener: Option<Arc<std::net::TcpListener>>,
    /// Instead of `admin_listen`.
    pub admin_listener: Option<Arc<std::net::TcpListener>>,
}

impl Default for Runtime {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            ids: Arc::new(SystemIds),
            listener: None,
            admin_listener: None,
        }
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime")
            .field("listener", &self.listener)
            .finish_non_exhaustive()
    }
}

/// A program cannot start, or ended by itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The log filter or the trace endpoint cannot be used.
    #[error("telemetry: {0}")]
    Telemetry(#[from] oms_telemetry::Error),
    /// The database cannot be used.
    #[error("database: {}", Chain(.0))]
    Database(#[from] oms_postgres::Error),
    /// The schema is older than the program, or not its own.
    #[error("database: {}", Chain(.0))]
    Schema(#[from] SchemaError),
    /// A migration failed.
    #[error("migration: {}", Chain(.0))]
    Migrate(#[from] oms_postgres::MigrateError),
    /// A method has no scope.
    #[error(transparent)]
    NoScope(#[from] NoScope),
    /// A port cannot be opened.
    #[error("cannot listen on {addr}: {source}")]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The service could not be put together.
    #[error("cannot start: {0:#}")]
    Build(anyhow::Error),
    /// Background work ended though nobody told it to.
    #[error("background work {name:?} failed: {reason}")]
    Background {
        /// Name of the work.
        name: &'static str,
        /// What happened.
        reason: String,
    },
    /// The program ended without saying why, such as by a panic.
    #[error("the program broke down: {0}")]
    Broken(String),
}

/// Any [`Program`], so that different ones can be kept in one list: `&[&OrderProgram, ..]`.
#[async_trait]
pub trait AnyProgram: Send + Sync {
    /// Name of the service.
    fn name(&self) -> &'static str;

    /// The embedded defaults.
    fn defaults(&self) -> &'static str;

    /// Loads and checks the configuration.
    fn check_config(&self, layers: &Layers) -> Result<Common, ConfigError>;

    /// [`AnyProgram::check_config`], and what only serving needs: see [`Program::check_serving`].
    fn check_config_to_serve(&self, layers: &Layers) -> Result<(), ConfigError>;

    /// Brings the database to the schema of the program.
    async fn migrate(&self, layers: &Layers) -> Result<(), StartError>;

    /// Gives the event feed another epoch and answers it: after the database was restored, so that consumers do not take
    /// positions of the lost events for those of new ones.
    async fn new_epoch(&self, layers: &Layers) -> Result<Uuid, StartError>;

    /// Has this program read a peer's feed again from its beginning when it serves next. False when it has not read
    /// anything of it.
    async fn resync(&self, layers: &Layers, peer: &str) -> Result<bool, StartError>;

    /// Starts the program in this process; both ports are open when it answers. Telemetry is started
    /// by whoever owns the process.
    async fn start(&self, layers: &Layers, runtime: Runtime) -> Result<ServiceHandle, StartError>;
}

#[async_trait]
impl<P: Program> AnyProgram for P {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn defaults(&self) -> &'static str {
        P::DEFAULTS
    }

    fn check_config(&self, layers: &Layers) -> Result<Common, ConfigError> {
        let config = load::<P>(layers)?;
        Ok(P::common(&config).clone())
    }

    fn check_config_to_serve(&self, layers: &Layers) -> Result<(), ConfigError> {
        check_serving::<P>(&load::<P>(layers)?)
    }

    async fn migrate(&self, layers: &Layers) -> Result<(), StartError> {
        let config = load::<P>(layers)?;
        let runtime = Runtime::default();
        let db = connect::<P>(P::common(&config), &runtime).await?;
        oms_postgres::migrate(&db, P::migrations()).await?;
        db.close().await;
        Ok(())
    }

    async fn new_epoch(&self, layers: &Layers) -> Result<Uuid, StartError> {
        let config = load::<P>(layers)?;
        let runtime = Runtime::default();
        let db = connect::<P>(P::common(&config), &runtime).await?;
        let epoch = runtime.ids.next();
        let set = db.run_tx("new_epoch", |tx| {
            Box::pin(async move { feed::set_epoch(tx.conn(), epoch).await })
        });
        set.await?;
        db.close().await;
        Ok(epoch)
    }

    async fn resync(&self, layers: &Layers, peer: &str) -> Result<bool, StartError> {
        let config = load::<P>(layers)?;
        let db = connect::<P>(P::common(&config), &Runtime::default()).await?;
        let forget = db.run_tx("resync", |tx| {
            Box::pin(async move { cursor::forget(tx.conn(), P::NAME, peer).await })
        });
        let forgotten = forget.await?;
        db.close().await;
        Ok(forgotten)
    }

    async fn start(&self, layers: &Layers, runtime: Runtime) -> Result<ServiceHandle, StartError> {
        start::<P>(load::<P>(layers)?, runtime).await
    }
}

fn load<P: Program>(layers: &Layers) -> Result<P::Config, ConfigError> {
    let config: P::Config = config::load_layers(P::NAME, P::DEFAULTS, layers)?;
    P::common(&config).check(P::NAME)?;
    P::check(&config).map_err(ConfigError::Invalid)?;
    Ok(config)
}

fn check_serving<P: Program>(config: &P::Config) -> Result<(), ConfigError> {
    P::check_serving(config).map_err(ConfigError::Invalid)
}

async fn connect<P: Program>(common: &Common, runtime: &Runtime) -> Result<Db, StartError> {
    let mut database = common.database.clone();
    P::NAME.clone_into(&mut database.application_name);
    Ok(Db::connect(&database, Arc::clone(&runtime.clock)).await?)
}

async fn start<P: Program>(
    config: P::Config,
    runtime: Runtime,
) -> Result<ServiceHandle, StartError> {
    // Before anything records a metric, so that all of them are counted and described.
    let metrics = oms_telemetry::metrics();
    names::describe_metrics();
    oms_postgres::describe_metrics();

    let common = P::common(&config).clone();
    check_serving::<P>(&config)?;
    let tls = Tls::load(&common.tls)?;
    let guard = Guard::new(&common, P::NAME, Arc::clone(&runtime.clock))?;
    let listener = listen(runtime.listener.as_deref(), common.listen)?;
    let admin_listener = listen(runtime.admin_listener.as_deref(), common.admin_listen)?;
    let db = connect::<P>(&common, &runtime).await?;
    bring_schema::<P>(&db, &common).await?;

    let mut plumbing = Background::new();
    let cancel = plumbing.cancel_token();
    let relay = relay::spawn(db.clone(), relay::RelayConfig::default(), cancel.clone());
    plumbing.watch("relay", relay);
    let auditor = audit::spawn(db.clone(), audit::AuditorConfig::default(), cancel.clone());
    plumbing.watch("auditor", auditor);
    let keep = maintenance::MaintenanceConfig {
        audit_keep: common.audit.keep(),
        ..maintenance::MaintenanceConfig::default()
    };
    let maintenance = maintenance::spawn(db.clone(), keep, cancel);
    plumbing.watch("maintenance", maintenance);

    let mut files = tls.watched();
    files.extend(guard.watched());
    let files = watched::spawn(files, common.server.files_reload(), plumbing.cancel_token());
    plumbing.watch("files", files);

    let mut setup = Setup::new(
        P::NAME,
        (common, tls),
        db,
        runtime,
        Services::new(),
        Background::new(),
    );
    P::build(config, &mut setup)
        .await
        .map_err(|error| match error.downcast::<ConfigError>() {
            Ok(error) => StartError::Config(error),
            Err(error) => StartError::Build(error),
        })?;
    let Setup {
        common,
        tls,
        db,
        ids,
        services,
        background,
        draining,
        ..
    } = setup;
    let door = Door { guard, tls };
    let server = Server::new(P::NAME, &common, door, services, &db, ids, draining.clone())?;
    let running = Running {
        name: P::NAME,
        server,
        limits: common.server,
        db,
        background,
        plumbing,
        draining,
        metrics,
    };
    running.spawn(listener, admin_listener).await
}

/// A database that was never migrated is migrated in development only: elsewhere somebody decides when.
async fn bring_schema<P: Program>(db: &Db, common: &Common) -> Result<(), StartError> {
    match oms_postgres::schema_check(db, P::migrations()).await {
        Err(SchemaError::Older { .. }) if common.insecure_dev => {
            oms_postgres::migrate(db, P::migrations()).await?;
            Ok(())
        }
        checked => Ok(checked?),
    }
}

fn listen(
    bound: Option<&std::net::TcpListener>,
    addr: SocketAddr,
) -> Result<TcpListener, StartError> {
    let open = || {
        let listener = match bound {
            Some(bound) => bound.try_clone()?,
            None => std::net::TcpListener::bind(addr)?,
        };
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    };
    open().map_err(|source| StartError::Bind { addr, source })
}
