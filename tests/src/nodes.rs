//! The five services and the payment provider as processes of their own, so that a test can kill them.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::{Context, ensure};
use oms::clients::Clients;
use oms::suite::SERVICES;
use oms_engines::{Engines, EnginesConfig};
use oms_service::PeerConfig;

use crate::process::Process;
use crate::suite::{Actor, engines};

/// The payment provider's name among the processes.
pub const PROVIDER: &str = "sandbox-psp";

const WEBHOOKS: &str = "/webhooks/payments/sandbox";
const WEBHOOK_SECRET: &str = "whsec_of_the_processes";

fn twin_of(service: &str) -> String {
    format!("{service}-twin")
}

/// Engines, the five services and the payment provider, each in a process of its own. Dropping it kills them.
#[derive(Debug)]
pub struct Nodes {
    /// By name: that of the service, and those of twins.
    nodes: Vec<(String, Process)>,
    program: String,
    /// Configuration of some services: (`"order"`, TOML).
    overrides: Vec<(&'static str, &'static str)>,
    /// The engines.
    pub engines: Arc<Engines>,
}

impl Nodes {
    /// Starts everything; `program` is the path of `oms-node`.
    ///
    /// # Errors
    /// When something cannot start.
    pub async fn start(program: &str, otlp_endpoint: Option<String>) -> anyhow::Result<Self> {
        Self::with(program, otlp_endpoint, &[]).await
    }

    /// [`Nodes::start`] with configuration of some services: (`"order"`, TOML).
    ///
    /// # Errors
    /// When something cannot start.
    pub async fn with(
        program: &str,
        otlp_endpoint: Option<String>,
        overrides: &[(&'static str, &'static str)],
    ) -> anyhow::Result<Self> {
        Self::on(program, engines()?, otlp_endpoint, overrides).await
    }

    /// [`Nodes::with`] on engines of this kind.
    ///
    /// # Errors
    /// When something cannot start.
    pub async fn on(
        program: &str,
        config: EnginesConfig,
        otlp_endpoint: Option<String>,
        overrides: &[(&'static str, &'static str)],
    ) -> anyhow::Result<Self> {
        let engines = tokio::task::spawn_blocking(move || Engines::start(&config)).await??;
        let mut nodes = SERVICES
            .iter()
            .map(|(name, _)| {
                let mut node = Process::new(program, name, engines.dir(), name)?;
                node.export_to(otlp_endpoint.clone());
                Ok(((*name).to_owned(), node))
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        let order = nodes.iter().find(|(name, _)| name == "order");
        let told = order.context("no order service")?.1.url() + WEBHOOKS;
        let webhook = [told.as_str(), WEBHOOK_SECRET];
        let provider = Process::provider(program, engines.dir(), &engines.postgres_url(), webhook)?;
        nodes.push((PROVIDER.to_owned(), provider));
        let mut all = Self {
            nodes,
            program: program.to_owned(),
            overrides: overrides.to_vec(),
            engines: Arc::new(engines),
        };
        for (name, _) in SERVICES {
            all.node(name)?.configure(&all.config(name))?;
        }
        for (name, _) in SERVICES {
            all.engines.create_database(&format!("oms_{name}"))?;
            all.spawn(name)?;
        }
        all.spawn(PROVIDER)?;
        for (name, _) in SERVICES {
            all.until_ready(name).await?;
        }
        all.until_ready(PROVIDER).await?;
        Ok(all)
    }

    /// Gives every service a second process, which is not started, and tells all services, which are restarted for it, that
    /// each peer is at two addresses.
    ///
    /// # Errors
    /// When something cannot start.
    pub async fn with_twins(mut self) -> anyhow::Result<Self> {
        for (service, _) in SERVICES {
            let name = twin_of(service);
            let node = Process::new(&self.program, service, self.engines.dir(), &name)?;
            self.nodes.push((name, node));
        }
        for (service, _) in SERVICES {
            let config = self.config(service);
            self.node(service)?.configure(&config)?;
            self.node(&twin_of(service))?.configure(&config)?;
        }
        for (service, _) in SERVICES {
            self.crash(service).await?;
        }
        Ok(self)
    }

    /// Replaces the process of a service by its twin, and that by a new process, as a rolling update does: another one is
    /// ready before one is asked to end. `migrate` runs before, as it does before an update.
    ///
    /// # Errors
    /// When something does not start, or does not end with success.
    pub async fn roll(&mut self, service: &str) -> anyhow::Result<()> {
        let migrated = self.node(service)?.run("migrate")?;
        ensure!(
            migrated.status.success(),
            "{}",
            String::from_utf8_lossy(&migrated.stderr)
        );
        let twin = twin_of(service);
        for (comes, goes) in [(twin.as_str(), service), (service, twin.as_str())] {
            self.spawn(comes)?;
            self.until_ready(comes).await?;
            let leaving = self.node_mut(goes)?;
            leaving.ask_to_end()?;
            let code = leaving.until_dead().await?;
            ensure!(
                code == Some(0),
                "{goes} ended with {code:?}: {}",
                self.log(goes)?
            );
        }
        Ok(())
    }

    /// Where a service is: at the addresses of its process and of its twin, if it has one.
    fn peer(&self, service: &str) -> anyhow::Result<PeerConfig> {
        let mut config = PeerConfig::new(self.node(service)?.url());
        if let Ok(twin) = self.node(&twin_of(service)) {
            let ports = [self.node(service)?.port, twin.port];
            config.addresses = ports
                .map(|port| (Ipv4Addr::LOCALHOST, port).into())
                .to_vec();
        }
        Ok(config)
    }

    /// What a process of this service is configured with.
    fn config(&self, service: &str) -> String {
        let mut text = format!(
            "[database]\nurl = {:?}\n",
            self.engines.database_url(&format!("oms_{service}")),
        );
        for (peer, _) in SERVICES.iter().filter(|(peer, _)| *peer != service) {
            text += &format!("[peers.{peer}]\nurl = {:?}\n", self.url(peer));
            let addresses = self.peer(peer).map(|peer| peer.addresses);
            let addresses = addresses.unwrap_or_default();
            let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            text += &format!("addresses = {addresses:?}\n");
        }
        if service == "inventory" {
            text += &format!("[lease]\nredis_url = {:?}\n", self.engines.redis_url());
        }
        if service == "order" {
            text += &format!(
                "[payments.sandbox]\nurl = {:?}\nwebhook_secret = {WEBHOOK_SECRET:?}\n",
                self.url(PROVIDER)
            );
        }
        let own = self.overrides.iter().filter(|(name, _)| *name == service);
        own.fold(text, |text, (_, toml)| text + toml)
    }

    /// Starts a second process of a service, on the same database; answers its name.
    ///
    /// # Errors
    /// When it cannot start.
    pub async fn twin(&mut self, service: &'static str) -> anyhow::Result<String> {
        let name = twin_of(service);
        let node = Process::new(&self.program, service, self.engines.dir(), &name)?;
        node.configure(&self.config(service))?;
        self.nodes.push((name.clone(), node));
        self.spawn(&name)?;
        self.until_ready(&name).await?;
        Ok(name)
    }

    /// `http://host:port` of a process; empty when there is none.
    pub fn url(&self, name: &str) -> String {
        let node = self.nodes.iter().find(|(one, _)| one == name);
        node.map_or_else(String::new, |(_, node)| node.url())
    }

    /// Port of a service's probes and metrics.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn admin_port(&self, name: &str) -> anyhow::Result<u16> {
        Ok(self.node(name)?.admin_port)
    }

    /// Process id of a process that runs.
    ///
    /// # Errors
    /// When there is no such process, or it does not run.
    pub fn pid(&self, name: &str) -> anyhow::Result<u32> {
        self.node(name)?.pid()
    }

    fn node(&self, name: &str) -> anyhow::Result<&Process> {
        let found = self.nodes.iter().find(|(one, _)| one == name);
        Ok(&found.with_context(|| format!("no process {name}"))?.1)
    }

    fn node_mut(&mut self, name: &str) -> anyhow::Result<&mut Process> {
        let found = self.nodes.iter_mut().find(|(one, _)| one == name);
        Ok(&mut found.with_context(|| format!("no process {name}"))?.1)
    }

    /// Starts a service that is not running.
    ///
    /// # Errors
    /// When the process cannot be made.
    pub fn spawn(&mut self, name: &str) -> anyhow::Result<()> {
        self.node_mut(name)?.spawn()
    }

    /// Kills a service at once, as a crash would.
    ///
    /// # Errors
    /// When it is not running.
    pub fn kill(&mut self, name: &str) -> anyhow::Result<()> {
        self.node_mut(name)?.kill()
    }

    /// Kills a service, starts it again and waits until it answers.
    ///
    /// # Errors
    /// When it was not running or does not answer.
    pub async fn crash(&mut self, name: &str) -> anyhow::Result<()> {
        self.kill(name)?;
        self.spawn(name)?;
        self.until_ready(name).await
    }

    /// Stops a service where it is (SIGSTOP), until [`Nodes::resume`].
    ///
    /// # Errors
    /// When it is not running.
    pub fn pause(&self, name: &str) -> anyhow::Result<()> {
        self.node(name)?.pause()
    }

    /// Lets a service go on that was stopped.
    ///
    /// # Errors
    /// When it is not running.
    pub fn resume(&self, name: &str) -> anyhow::Result<()> {
        self.node(name)?.resume()
    }

    /// Waits until a service has died by itself.
    ///
    /// # Errors
    /// When it is not running, or lives on for two minutes.
    pub async fn until_dead(&mut self, name: &str) -> anyhow::Result<Option<i32>> {
        self.node_mut(name)?.until_dead().await
    }

    /// Asks all services to end and waits for them; what they still had to tell is told.
    ///
    /// # Errors
    /// When a process cannot be asked.
    pub fn end(&mut self) -> anyhow::Result<()> {
        let running = self.nodes.iter().filter(|(_, node)| node.is_running());
        for (_, node) in running {
            node.ask_to_end()?;
        }
        for (_, node) in &mut self.nodes {
            node.ended()?;
        }
        Ok(())
    }

    /// Waits until a service answers; its log is in the message when it does not.
    ///
    /// # Errors
    /// When it does not answer within two minutes.
    pub async fn until_ready(&self, name: &str) -> anyhow::Result<()> {
        self.node(name)?.until_ready().await
    }

    /// Where the payment provider is.
    ///
    /// # Errors
    /// When there is none.
    pub fn provider_url(&self) -> anyhow::Result<String> {
        Ok(self.node(PROVIDER)?.url())
    }

    /// What a service has logged.
    ///
    /// # Errors
    /// When there is no such service.
    pub fn log(&self, name: &str) -> anyhow::Result<String> {
        Ok(self.node(name)?.log())
    }

    /// The metrics of a process: `name{labels}` as Prometheus reads it, to value.
    ///
    /// # Errors
    /// When there is no such process, or it does not answer.
    pub async fn metrics(&self, name: &str) -> anyhow::Result<HashMap<String, f64>> {
        self.node(name)?.metrics().await
    }

    /// Somebody who acts in this suite.
    ///
    /// # Errors
    /// When an address is malformed.
    pub fn actor(&self) -> anyhow::Result<Actor> {
        let clients = Clients::connect_to(|service| self.peer(service), "user:test")?;
        Ok(Actor {
            clients,
            postgres_url: self.engines.postgres_url(),
        })
    }
}
