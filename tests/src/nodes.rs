//! The five services as processes of their own, so that a test can kill them.

use anyhow::Context;
use oms::clients::Clients;
use oms::suite::SERVICES;
use oms_engines::Engines;

use crate::process::Process;
use crate::suite::{Actor, engines};

/// Engines and the five services, each in a process of its own. Dropping it kills them.
#[derive(Debug)]
pub struct Nodes {
    nodes: Vec<Process>,
    /// The engines.
    pub engines: Engines,
}

impl Nodes {
    /// Starts everything; `program` is the path of `oms-node`.
    ///
    /// # Errors
    /// When something cannot start.
    pub async fn start(program: &str, otlp_endpoint: Option<String>) -> anyhow::Result<Self> {
        let config = engines()?;
        let engines =
            tokio::task::spawn_blocking(move || oms_engines::Engines::start(&config)).await??;
        let nodes = SERVICES
            .iter()
            .map(|(name, _)| {
                let mut node = Process::new(program, name, engines.dir(), name)?;
                node.export_to(otlp_endpoint.clone());
                Ok(node)
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        let mut all = Self { nodes, engines };
        all.write_configs()?;
        for (name, _) in SERVICES {
            all.engines.create_database(&format!("oms_{name}"))?;
            all.spawn(name)?;
        }
        for (name, _) in SERVICES {
            all.until_ready(name).await?;
        }
        Ok(all)
    }

    fn write_configs(&self) -> anyhow::Result<()> {
        for node in &self.nodes {
            let name = node.service();
            let mut text = format!(
                "[database]\nurl = {:?}\n",
                self.engines.database_url(&format!("oms_{name}")),
            );
            for peer in self.nodes.iter().filter(|peer| peer.service() != name) {
                text += &format!("[peers.{}]\nurl = {:?}\n", peer.service(), peer.url());
            }
            if name == "inventory" {
                text += &format!("[lease]\nredis_url = {:?}\n", self.engines.redis_url());
            }
            node.configure(&text)?;
        }
        Ok(())
    }

    fn node(&self, name: &str) -> anyhow::Result<&Process> {
        let found = self.nodes.iter().find(|node| node.service() == name);
        found.with_context(|| format!("no service {name}"))
    }

    fn node_mut(&mut self, name: &str) -> anyhow::Result<&mut Process> {
        let found = self.nodes.iter_mut().find(|node| node.service() == name);
        found.with_context(|| format!("no service {name}"))
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

    /// Asks all services to end and waits for them; what they still had to tell is told.
    ///
    /// # Errors
    /// When a process cannot be asked.
    pub fn end(&mut self) -> anyhow::Result<()> {
        for node in self.nodes.iter().filter(|node| node.is_running()) {
            node.ask_to_end()?;
        }
        for node in &mut self.nodes {
            node.ended()?;
        }
        Ok(())
    }

    /// Waits until a service answers; its log is in the message when it does not.
    ///
    /// # Errors
    /// When it does not answer within a minute.
    pub async fn until_ready(&self, name: &str) -> anyhow::Result<()> {
        self.node(name)?.until_ready().await
    }

    /// Somebody who acts in this suite.
    ///
    /// # Errors
    /// When an address is malformed.
    pub fn actor(&self) -> anyhow::Result<Actor> {
        let url = |service: &str| Ok(self.node(service)?.url());
        let clients = Clients::connect(url, "user:test")?;
        Ok(Actor {
            clients,
            postgres_url: self.engines.postgres_url(),
        })
    }
}
