//! Private engines, the five services and the sandbox payment provider in one process. Same code and same gRPC between the services as when
//! each runs alone.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use oms_core::{Clock, IdSource, SystemClock, SystemIds};
use oms_engines::{Engines, EnginesConfig};
use oms_sandbox_psp::{SandboxPsp, Webhook};
use oms_service::{AnyProgram, Layers, Runtime, ServiceHandle};

/// The services in the order in which they start, with their ports.
pub const SERVICES: [(&str, u16); 5] = [
    ("order", 7001),
    ("inventory", 7002),
    ("fulfillment", 7003),
    ("shipping", 7004),
    ("returns", 7005),
];

/// Provider and order service are in one process on this machine: a secret that everybody knows will do.
const WEBHOOK_SECRET: &str = "whsec_of_one_process";

/// How a suite is started.
pub struct SuiteConfig {
    /// The engines.
    pub engines: EnginesConfig,
    /// True takes the well-known ports 7001 to 7005, their admin ports and 7090, false takes free ones.
    pub fixed_ports: bool,
    /// Folder with `ca.crt`, and `order.crt` and `order.key` per service for the host `127.0.0.1`: the services then speak mutual
    /// TLS and believe nobody. Default: none, plain and `insecure_dev`.
    pub certificates: Option<PathBuf>,
    /// TOML text per service that wins over the defaults: (`"order"`, `"[saga]\n.."`).
    pub overrides: Vec<(&'static str, String)>,
    /// Where all time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where all new ids come from.
    pub ids: Arc<dyn IdSource>,
}

impl SuiteConfig {
    /// A suite over these engines, with the system's clock and ids.
    pub fn new(engines: EnginesConfig) -> Self {
        Self {
            engines,
            fixed_ports: false,
            certificates: None,
            overrides: Vec::new(),
            clock: Arc::new(SystemClock),
            ids: Arc::new(SystemIds),
        }
    }
}

impl std::fmt::Debug for SuiteConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SuiteConfig")
            .field("fixed_ports", &self.fixed_ports)
            .finish_non_exhaustive()
    }
}

/// A running suite. Call [`Suite::stop`] at the end; dropping it stops the engines under the services.
pub struct Suite {
    /// The engines; fault tests kill and restart them here.
    pub engines: Arc<Engines>,
    /// The services in the order of [`SERVICES`].
    pub services: Vec<ServiceHandle>,
    /// The payment provider.
    pub provider: SandboxPsp,
}

impl std::fmt::Debug for Suite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Suite")
            .field("services", &self.services)
            .finish_non_exhaustive()
    }
}

/// A bound port for gRPC and one for administration.
struct Ports {
    grpc: TcpListener,
    admin: TcpListener,
}

impl Suite {
    /// Starts the engines, makes and migrates the databases, and serves all services.
    ///
    /// # Errors
    /// When an engine cannot be had, a port is taken, or a service cannot start.
    pub async fn start(config: SuiteConfig) -> anyhow::Result<Self> {
        let engines_config = config.engines.clone();
        let engines = tokio::task::spawn_blocking(move || start_engines(&engines_config)).await??;
        let ports = SERVICES
            .iter()
            .map(|(_, port)| bind(config.fixed_ports.then_some(*port)))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let provider = start_provider(&engines, &ports, &config).await?;
        let mut services = Vec::new();
        for ((name, _), own) in SERVICES.iter().zip(&ports) {
            let layers = layers(name, &engines, &ports, &config, &provider)?;
            let runtime = Runtime {
                clock: Arc::clone(&config.clock),
                ids: Arc::clone(&config.ids),
                listener: Some(Arc::new(own.grpc.try_clone()?)),
                admin_listener: Some(Arc::new(own.admin.try_clone()?)),
            };
            let program = program(name);
            program
                .migrate(&layers)
                .await
                .with_context(|| format!("cannot migrate {name}"))?;
            let handle = program
                .start(&layers, runtime)
                .await
                .with_context(|| format!("cannot start {name}"))?;
            services.push(handle);
        }
        Ok(Self {
            engines: Arc::new(engines),
            services,
            provider,
        })
    }

    /// `http://host:port` of a service.
    ///
    /// # Errors
    /// When there is no such service.
    pub fn url(&self, service: &str) -> anyhow::Result<String> {
        let handle = self.services.iter().find(|handle| handle.name == service);
        Ok(handle
            .with_context(|| format!("no service {service}"))?
            .url())
    }

    /// Drains the services, then stops the engines.
    ///
    /// # Errors
    /// When background work of a service had failed.
    pub async fn stop(self) -> anyhow::Result<()> {
        for service in &self.services {
            service.stop();
        }
        let mut result = Ok(());
        for service in self.services {
            let name = service.name;
            if let Err(error) = service.shutdown().await {
                result = Err(error).with_context(|| format!("{name} ended badly"));
            }
        }
        if let Err(error) = self.provider.stop().await {
            result = Err(error).context("the payment provider ended badly");
        }
        let engines = self.engines;
        tokio::task::spawn_blocking(move || engines.stop()).await?;
        result
    }
}

/// The program of a service.
fn program(name: &str) -> &'static dyn AnyProgram {
    match name {
        "order" => &oms_order::Order,
        "inventory" => &oms_inventory::Inventory,
        "fulfillment" => &oms_fulfillment::Fulfillment,
        "shipping" => &oms_shipping::Shipping,
        _ => &oms_returns::Returns,
    }
}

fn start_engines(config: &EnginesConfig) -> anyhow::Result<Engines> {
    let engines = Engines::start(config)?;
    for (service, _) in SERVICES {
        engines.create_database(&format!("oms_{service}"))?;
    }
    engines.create_database(oms_sandbox_psp::DATABASE)?;
    Ok(engines)
}

async fn start_provider(
    engines: &Engines,
    ports: &[Ports],
    config: &SuiteConfig,
) -> anyhow::Result<SandboxPsp> {
    let port = if config.fixed_ports {
        oms_sandbox_psp::PORT
    } else {
        0
    };
    let url = engines.database_url(oms_sandbox_psp::DATABASE);
    let mut services = SERVICES.iter().zip(ports);
    let order = services.find(|((name, _), _)| *name == "order");
    let (_, order) = order.context("no order service")?;
    let webhook = Webhook {
        url: format!(
            "http://{}/webhooks/payments/sandbox",
            order.grpc.local_addr()?
        ),
        secret: WEBHOOK_SECRET.to_owned(),
    };
    let clock = Arc::clone(&config.clock);
    let started = SandboxPsp::start(&url, open(port)?, clock, Some(webhook)).await;
    started.context("cannot start the payment provider")
}

fn open(port: u16) -> anyhow::Result<TcpListener> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))
}

fn bind(port: Option<u16>) -> anyhow::Result<Ports> {
    match port {
        Some(port) => Ok(Ports {
            grpc: open(port)?,
            admin: open(port + 1000)?,
        }),
        None => Ok(Ports {
            grpc: open(0)?,
            admin: open(0)?,
        }),
    }
}

/// Configuration of one service: its database, its peers at the ports that were bound, and the overrides.
fn layers(
    name: &str,
    engines: &Engines,
    ports: &[Ports],
    config: &SuiteConfig,
    provider: &SandboxPsp,
) -> anyhow::Result<Layers> {
    let is_plain = config.certificates.is_none();
    let mut text = format!(
        "insecure_dev = {is_plain}\n[database]\nurl = {:?}\n",
        engines.database_url(&format!("oms_{name}"))
    );
    let scheme = if is_plain { "http" } else { "https" };
    for ((peer, _), own) in SERVICES.iter().zip(ports) {
        if *peer != name {
            let address = own.grpc.local_addr()?;
            text += &format!("[peers.{peer}]\nurl = \"{scheme}://{address}\"\n");
        }
    }
    if let Some(folder) = &config.certificates {
        let file = |name: String| folder.join(name).display().to_string();
        text += &format!(
            "[tls]\ncertificate = {:?}\nkey = {:?}\nclient_ca = {:?}\n",
            file(format!("{name}.crt")),
            file(format!("{name}.key")),
            file("ca.crt".to_owned())
        );
    }
    if name == "inventory" {
        text += &format!("[lease]\nredis_url = {:?}\n", engines.redis_url());
    }
    if name == "order" {
        text += &format!(
            "[payments.sandbox]\nurl = {:?}\nwebhook_secret = {WEBHOOK_SECRET:?}\n",
            provider.url()
        );
    }
    let overrides = config
        .overrides
        .iter()
        .filter(|(service, _)| *service == name);
    Ok(overrides.fold(Layers::of_text(text), |layers, (_, toml)| layers.with(toml)))
}
