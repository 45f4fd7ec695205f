//! The five services as processes of their own, so that a test can kill them.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::Context;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use oms::clients::Clients;
use oms::suite::SERVICES;
use oms_engines::Engines;

use crate::suite::{Actor, engines, wait_for};

/// One service and its process.
#[derive(Debug)]
struct Node {
    name: &'static str,
    port: u16,
    config: PathBuf,
    process: Option<Child>,
}

/// Engines and the five services, each in a process of its own. Dropping it kills them.
#[derive(Debug)]
pub struct Nodes {
    /// The engines.
    pub engines: Engines,
    program: PathBuf,
    otlp_endpoint: Option<String>,
    nodes: Vec<Node>,
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
                let config = engines.dir().join(format!("{name}.toml"));
                Ok(Node {
                    name,
                    port: free_port()?,
                    config,
                    process: None,
                })
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        let mut all = Self {
            engines,
            program: program.into(),
            otlp_endpoint,
            nodes,
        };
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
            let mut text = format!(
                "listen = \"127.0.0.1:{}\"\nadmin_listen = \"127.0.0.1:{}\"\n[database]\nurl = {:?}\n",
                node.port,
                free_port()?,
                self.engines.database_url(&format!("oms_{}", node.name)),
            );
            for peer in self.nodes.iter().filter(|peer| peer.name != node.name) {
                text += &format!(
                    "[peers.{}]\nurl = \"http://127.0.0.1:{}\"\n",
                    peer.name, peer.port
                );
            }
            if node.name == "inventory" {
                text += &format!("[lease]\nredis_url = {:?}\n", self.engines.redis_url());
            }
            std::fs::write(&node.config, text)?;
        }
        Ok(())
    }

    fn node(&mut self, name: &str) -> anyhow::Result<&mut Node> {
        let found = self.nodes.iter_mut().find(|node| node.name == name);
        found.with_context(|| format!("no service {name}"))
    }

    /// Starts a service that is not running.
    ///
    /// # Errors
    /// When the process cannot be made.
    pub fn spawn(&mut self, name: &str) -> anyhow::Result<()> {
        let (program, endpoint) = (self.program.clone(), self.otlp_endpoint.clone());
        let node = self.node(name)?;
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log_of(&node.config))?;
        let mut command = Command::new(program);
        command
            .args([name, "serve", "--insecure-dev", "--config"])
            .arg(&node.config)
            .env("RUST_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        if let Some(endpoint) = endpoint {
            command.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
        }
        node.process = Some(command.spawn().context("cannot start a service")?);
        Ok(())
    }

    /// Kills a service at once, as a crash would.
    ///
    /// # Errors
    /// When it is not running.
    pub fn kill(&mut self, name: &str) -> anyhow::Result<()> {
        let process = self.node(name)?.process.take();
        let mut process = process.with_context(|| format!("{name} is not running"))?;
        process.kill()?;
        process.wait()?;
        Ok(())
    }

    /// Asks all services to end and waits for them; what they still had to tell is told.
    ///
    /// # Errors
    /// When a process cannot be asked.
    pub fn end(&mut self) -> anyhow::Result<()> {
        for node in &mut self.nodes {
            if let Some(process) = &node.process {
                kill(Pid::from_raw(i32::try_from(process.id())?), Signal::SIGTERM)?;
            }
        }
        for node in &mut self.nodes {
            if let Some(mut process) = node.process.take() {
                process.wait()?;
            }
        }
        Ok(())
    }

    /// Waits until a service answers; its log is in the message when it does not.
    ///
    /// # Errors
    /// When it does not answer within a minute.
    pub async fn until_ready(&self, name: &str) -> anyhow::Result<()> {
        let node = self.nodes.iter().find(|node| node.name == name);
        let node = node.with_context(|| format!("no service {name}"))?;
        let ready = wait_for("a service to answer", || async {
            let connected = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, node.port)).await;
            Ok(connected.map(|_| ()).map_err(|error| error.to_string()))
        });
        let log = || std::fs::read_to_string(log_of(&node.config)).unwrap_or_default();
        ready
            .await
            .with_context(|| format!("{name} said:\n{}", log()))
    }

    /// Somebody who acts in this suite.
    ///
    /// # Errors
    /// When an address is malformed.
    pub fn actor(&self) -> anyhow::Result<Actor> {
        let url = |service: &str| {
            let node = self.nodes.iter().find(|node| node.name == service);
            let port = node.with_context(|| format!("no service {service}"))?.port;
            Ok(format!("http://127.0.0.1:{port}"))
        };
        let clients = Clients::connect(url, "user:test")?;
        Ok(Actor {
            clients,
            postgres_url: self.engines.postgres_url(),
        })
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            if let Some(process) = &mut node.process {
                // It may have ended by itself.
                let _ = process.kill();
                let _ = process.wait();
            }
        }
    }
}

fn log_of(config: &Path) -> PathBuf {
    config.with_extension("log")
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}
