//! One service as a process of its own, so that a test can kill, stop and restart it.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::suite::{PATIENCE, wait_for};

/// Ports of processes: below the range from which Linux takes the ports of outgoing connections, so that nobody gets a
/// port by chance while its process is dead.
const PORTS: std::ops::Range<u16> = 10_000..20_000;

/// A service, its ports and its process while it runs. Dropping it kills the process.
#[derive(Debug)]
pub struct Process {
    service: &'static str,
    program: PathBuf,
    otlp_endpoint: Option<String>,
    config: PathBuf,
    /// Instead of those of a service.
    arguments: Option<Vec<String>>,
    /// Of gRPC, or of HTTP for the payment provider.
    pub port: u16,
    /// Of the probes and metrics.
    pub admin_port: u16,
    _ports: [Port; 2],
    child: Option<Child>,
}

impl Process {
    /// A service that does not run yet. `program` is the path of `oms-node`; `name` tells this process from others in
    /// the directory, where its configuration and its log are kept.
    ///
    /// # Errors
    /// When no port is free.
    pub fn new(
        program: &str,
        service: &'static str,
        dir: &Path,
        name: &str,
    ) -> anyhow::Result<Self> {
        let (grpc, admin) = (Port::claim()?, Port::claim()?);
        Ok(Self {
            service,
            program: program.into(),
            otlp_endpoint: None,
            config: dir.join(format!("{name}.toml")),
            arguments: None,
            port: grpc.number,
            admin_port: admin.number,
            _ports: [grpc, admin],
            child: None,
        })
    }

    /// The sandbox payment provider on this Postgres server; `webhook` is where it tells of charges, and the secret
    /// that it signs with. See [`Process::new`].
    ///
    /// # Errors
    /// When no port is free.
    pub fn provider(
        program: &str,
        dir: &Path,
        postgres_url: &str,
        webhook: [&str; 2],
    ) -> anyhow::Result<Self> {
        let mut process = Self::new(program, "sandbox-psp", dir, "sandbox-psp")?;
        let listen = format!("127.0.0.1:{}", process.port);
        let [url, secret] = webhook;
        let serve = ["--listen", &listen, "--postgres-url", postgres_url];
        let tell = ["--webhook-url", url, "--webhook-secret", secret];
        let arguments = serve.iter().chain(&tell);
        process.arguments = Some(arguments.map(|&argument| argument.to_owned()).collect());
        Ok(process)
    }

    /// Has it export its spans.
    pub fn export_to(&mut self, otlp_endpoint: Option<String>) {
        self.otlp_endpoint = otlp_endpoint;
    }

    /// Writes its configuration: its ports, then this TOML, whose first keys stand in no table.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn configure(&self, toml: &str) -> anyhow::Result<()> {
        let text = format!(
            "listen = \"127.0.0.1:{}\"\nadmin_listen = \"127.0.0.1:{}\"\n{toml}",
            self.port, self.admin_port
        );
        Ok(std::fs::write(&self.config, text)?)
    }

    /// Name of the service.
    pub fn service(&self) -> &'static str {
        self.service
    }

    /// `http://host:port` of gRPC.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Starts it.
    ///
    /// # Errors
    /// When the process cannot be made.
    pub fn spawn(&mut self) -> anyhow::Result<()> {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_path())?;
        let mut command = Command::new(&self.program);
        command.arg(self.service);
        match &self.arguments {
            Some(arguments) => command.args(arguments),
            None => command
                .args(["serve", "--insecure-dev", "--config"])
                .arg(&self.config),
        };
        command
            .env("RUST_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        if let Some(endpoint) = &self.otlp_endpoint {
            command.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
        }
        self.child = Some(command.spawn().context("cannot start a service")?);
        Ok(())
    }

    /// Runs another command of the service with its configuration, such as `migrate`, to its end.
    ///
    /// # Errors
    /// When the process cannot be made.
    pub fn run(&self, command: &str) -> anyhow::Result<Output> {
        let mut process = Command::new(&self.program);
        process.args([self.service, command, "--insecure-dev", "--config"]);
        process.arg(&self.config).stdin(Stdio::null());
        process.output().context("cannot run a service")
    }

    /// Kills it at once, as a crash would (`kill -9`).
    ///
    /// # Errors
    /// When it is not running.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        let child = self.child.take();
        let mut child = child.with_context(|| format!("{} is not running", self.service))?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Waits until it has died by itself; answers its exit code, `None` when a signal ended it.
    ///
    /// # Errors
    /// When it is not running, or lives on for two minutes.
    pub async fn until_dead(&mut self) -> anyhow::Result<Option<i32>> {
        let child = self.child.take();
        let mut child = child.with_context(|| format!("{} is not running", self.service))?;
        let id = Pid::from_raw(i32::try_from(child.id())?);
        let waiting = tokio::task::spawn_blocking(move || child.wait());
        let Ok(ended) = tokio::time::timeout(PATIENCE, waiting).await else {
            kill(id, Signal::SIGKILL)?;
            bail!("{} lives on", self.service)
        };
        Ok(ended??.code())
    }

    /// Stops it where it is (SIGSTOP): its connections stay open and nobody answers.
    ///
    /// # Errors
    /// When it is not running.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// Lets it go on after a stop (SIGCONT).
    ///
    /// # Errors
    /// When it is not running.
    pub fn resume(&self) -> anyhow::Result<()> {
        self.signal(Signal::SIGCONT)
    }

    /// Asks it to end; [`Process::ended`] waits.
    ///
    /// # Errors
    /// When it is not running.
    pub fn ask_to_end(&self) -> anyhow::Result<()> {
        self.signal(Signal::SIGTERM)
    }

    /// Waits until it has ended; `None` when it was not running.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        let child = self.child.take();
        Ok(child.map(|mut child| child.wait()).transpose()?)
    }

    /// Whether it was started and has not been killed.
    pub fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// Its process id.
    ///
    /// # Errors
    /// When it is not running.
    pub fn pid(&self) -> anyhow::Result<u32> {
        let child = self.child.as_ref();
        Ok(child
            .with_context(|| format!("{} is not running", self.service))?
            .id())
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let child = self.child.as_ref();
        let child = child.with_context(|| format!("{} is not running", self.service))?;
        Ok(kill(Pid::from_raw(i32::try_from(child.id())?), signal)?)
    }

    /// Waits until it answers; its log is in the message when it does not.
    ///
    /// # Errors
    /// When it does not answer within two minutes.
    pub async fn until_ready(&self) -> anyhow::Result<()> {
        let ready = wait_for("a service to answer", || async {
            let connected = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await;
            Ok(connected.map(|_| ()).map_err(|error| error.to_string()))
        });
        ready
            .await
            .with_context(|| format!("{} said:\n{}", self.service, self.log()))
    }

    /// What it has logged in all its lives.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.config.with_extension("log")
    }

    /// What the admin port answers, from the status line on.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn admin(&self, path: &str) -> anyhow::Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.admin_port)).await?;
        let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }

    /// Its metrics: `name{labels}` as Prometheus reads it, to value.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn metrics(&self) -> anyhow::Result<HashMap<String, f64>> {
        let answer = self.admin("/metrics").await?;
        if !answer.starts_with("HTTP/1.1 200") {
            bail!("no metrics: {}", answer.lines().next().unwrap_or_default());
        }
        let samples = answer.lines().filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Ok(samples.collect())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A port of the loopback address that nobody else takes while this lives: tests run at the same time, and a process that is dead
/// for a moment wants its port back.
#[derive(Debug)]
struct Port {
    number: u16,
    /// Locked; the system lets go of it when this process ends in whatever way.
    _claim: File,
}

impl Port {
    /// # Errors
    /// When none is free.
    fn claim() -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join("oms-test-ports");
        std::fs::create_dir_all(&folder)?;
        let span = u64::from(PORTS.end - PORTS.start);
        for attempt in 0..200_u16 {
            // The standard library seeds every hasher from the system's randomness.
            let offset = RandomState::new().hash_one(attempt) % span;
            let number = PORTS.start + u16::try_from(offset)?;
            let claim = File::create(folder.join(number.to_string()))?;
            if claim.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok()
            {
                return Ok(Self {
                    number,
                    _claim: claim,
                });
            }
        }
        bail!("no port is free")
    }
}
