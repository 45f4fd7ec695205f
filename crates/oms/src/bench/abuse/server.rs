//! The server that is abused: an order service that checks tokens as in production, on a database of its own.

use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use oms_core::Principal;
use oms_engines::Engines;
use oms_order::Order;
use oms_service::{AnyProgram, Layers, Runtime, ServiceHandle};
use oms_telemetry::TelemetryConfig;

use crate::bench::store;
use crate::cli::AbuseServerArgs;
use crate::identity::Issuer;

/// Where no feed is served.
const NOBODY: &str = "http://127.0.0.1:1";
/// Nothing is sealed under it that anybody would miss.
const MASTER_KEYS: &str = "bench:b21zLWRldmVsb3BtZW50LWtleS1vbmx5LTAxMjM0NTY=";

/// See the module.
pub(super) struct Server {
    engines: Arc<Engines>,
    database: String,
    database_url: String,
    issuer: Issuer,
    folder: PathBuf,
    url: String,
    addr: SocketAddr,
    place: Place,
}

enum Place {
    /// In this process, for tests.
    Here(ServiceHandle),
    Elsewhere(Child),
}

impl Server {
    /// Makes the database and starts the service. A database that is left from a run before is dropped.
    pub(super) async fn start(
        engines: Arc<Engines>,
        name: &str,
        program: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let database = format!("{name}_order");
        let mut server = store::connect(&engines.postgres_url()).await?;
        store::drop_database(&mut server, &database).await?;
        let database_url = {
            let (engines, database) = (Arc::clone(&engines), database.clone());
            tokio::task::spawn_blocking(move || engines.create_database(&database)).await??
        };
        let folder = std::env::temp_dir().join(format!("oms-abuse-{name}-{}", std::process::id()));
        let issuer = Issuer::open(&folder)?;
        let layers = layers(&database_url, &issuer.public);
        let migrated = Order.migrate(&layers).await;
        migrated.context("cannot migrate order")?;
        let (place, url) = match program {
            None => {
                let handle = serve_here(&layers).await?;
                let url = handle.url();
                (Place::Here(handle), url)
            }
            Some(program) => {
                let mut child = spawn(program, &database_url, &issuer.public)?;
                let said = child.stdout.take().context("the server has no output")?;
                let line = tokio::task::spawn_blocking(move || first_line(said)).await??;
                (Place::Elsewhere(child), line)
            }
        };
        let addr = url.trim_start_matches("http://").parse();
        Ok(Self {
            engines,
            database,
            database_url,
            issuer,
            folder,
            addr: addr.with_context(|| format!("the server says {url:?}"))?,
            url,
            place,
        })
    }

    /// `http://host:port`
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(super) fn database_url(&self) -> &str {
        &self.database_url
    }

    /// Its process.
    pub(super) fn pid(&self) -> u32 {
        match &self.place {
            Place::Here(_) => std::process::id(),
            Place::Elsewhere(child) => child.id(),
        }
    }

    /// A good token of a user who may read.
    pub(super) fn token(&self, user: &str) -> anyhow::Result<String> {
        let principal: Principal = format!("user:{user}").parse()?;
        self.issuer.token(&principal, "read_only")
    }

    /// A token that names the issuer's key and that somebody else signed.
    pub(super) fn forged(&self) -> String {
        let token = self.token("mallory").unwrap_or_default();
        let (signed, signature) = token.rsplit_once('.').unwrap_or_default();
        let (first, rest) = signature.split_at_checked(1).unwrap_or_default();
        let other = if first == "A" { "B" } else { "A" };
        format!("{signed}.{other}{rest}")
    }

    /// Ends the service and drops what was made.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        match self.place {
            Place::Here(handle) => handle.shutdown().await.context("order ended badly")?,
            Place::Elsewhere(mut child) => {
                // It ends when nobody speaks to it any more.
                drop(child.stdin.take());
                let ended = tokio::task::spawn_blocking(move || child.wait()).await??;
                if !ended.success() {
                    return Err(anyhow!("the server ended with {ended}"));
                }
            }
        }
        std::fs::remove_dir_all(&self.folder)?;
        let mut server = store::connect(&self.engines.postgres_url()).await?;
        store::drop_database(&mut server, &self.database).await
    }
}

fn spawn(program: &Path, database_url: &str, jwks: &Path) -> anyhow::Result<Child> {
    let child = Command::new(program)
        .args(["bench", "abuse-server", "--database-url", database_url])
        .arg("--jwks-file")
        .arg(jwks)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    child.with_context(|| format!("cannot start {}", program.display()))
}

fn first_line(said: impl Read) -> anyhow::Result<String> {
    let mut line = String::new();
    BufReader::new(said).read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

/// Serves until standard input ends; says its address first.
#[expect(clippy::print_stdout, reason = "the bench reads it")]
pub(crate) async fn serve(args: &AbuseServerArgs) -> anyhow::Result<()> {
    let quiet = TelemetryConfig {
        filter: "error".to_owned(),
        ..TelemetryConfig::default()
    };
    let telemetry = oms_telemetry::start("oms", &quiet).context("telemetry")?;
    let handle = serve_here(&layers(&args.database_url, &args.jwks_file)).await?;
    println!("{}", handle.url());
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    handle.shutdown().await.context("order ended badly")?;
    telemetry.shutdown().await;
    Ok(())
}

async fn serve_here(layers: &Layers) -> anyhow::Result<ServiceHandle> {
    let runtime = Runtime {
        listener: Some(Arc::new(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?)),
        admin_listener: Some(Arc::new(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?)),
        ..Runtime::default()
    };
    let started = Order.start(layers, runtime).await;
    started.context("cannot start order")
}

/// As behind a gateway whose address is everybody's: the limit of connections per address would end the attack before it
/// begins, and callers and attackers come from one machine.
const SHARED_ADDRESS: &str = "[server]\nconnections_per_address_max = 0\n";

fn layers(database: &str, jwks: &Path) -> Layers {
    let mut text = format!(
        "[database]\nurl = {database:?}\n[privacy]\nmaster_keys = {MASTER_KEYS:?}\n
         [auth.jwt]\nissuer = {:?}\naudience = {:?}\njwks_file = {:?}\n",
        Issuer::NAME,
        Issuer::AUDIENCE,
        jwks.display().to_string()
    );
    for peer in ["inventory", "fulfillment", "shipping", "returns"] {
        text += &format!("[peers.{peer}]\nurl = \"{NOBODY}\"\n");
    }
    Layers::of_text(text + SHARED_ADDRESS)
}
