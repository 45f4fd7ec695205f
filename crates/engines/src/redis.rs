//! A private Redis (or Valkey, its twin).

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::error::{Context, Error};
use crate::supervise::{Claim, Launch, Supervised};
use crate::{Progress, find, install, process, quiet};

/// What a Redis process does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Role {
    /// Keeps data.
    #[default]
    Server,
    /// Keeps data as a node of a Cluster, which its user puts together.
    ClusterNode,
    /// Watches servers and replaces the leader when it fails.
    Sentinel,
}

/// How to run Redis.
#[derive(Clone)]
pub struct RedisOptions {
    /// Remove the directory when it stops.
    pub ephemeral: bool,
    /// Port on the loopback address; `None` keeps the one of the last run if it is free.
    pub port: Option<u16>,
    /// Where downloaded programs are kept.
    pub cache: PathBuf,
    /// Install Redis if there is none.
    pub install: bool,
    /// What it is besides a server of its own.
    pub role: Role,
    /// More lines of its configuration.
    pub settings: Vec<String>,
    /// Told what happens.
    pub progress: Progress,
}

impl RedisOptions {
    /// Kept, installed when needed; downloads go to `cache`.
    pub fn new(cache: impl Into<PathBuf>) -> Self {
        Self {
            ephemeral: false,
            port: None,
            cache: cache.into(),
            install: true,
            role: Role::Server,
            settings: Vec::new(),
            progress: quiet(),
        }
    }

    /// Removed at the end.
    pub fn throwaway(cache: impl Into<PathBuf>) -> Self {
        Self {
            ephemeral: true,
            ..Self::new(cache)
        }
    }
}

/// A running private Redis on the loopback address; dropping it stops it. It keeps nothing on
/// disk: after a restart it is empty, which its users must survive anyway.
pub struct Redis {
    engine: Supervised,
}

impl Redis {
    /// Starts Redis in `dir`; a directory that another process uses is refused.
    pub fn start(dir: &Path, options: &RedisOptions) -> Result<Self, Error> {
        let claim = Claim::take(dir)?;
        let dir = fs::canonicalize(dir).doing("find", dir)?;
        let server = find::redis_server(&options.cache);
        let server = server.map_or_else(
            || install::redis(&options.cache, options.install, &options.progress),
            Ok,
        )?;
        let config = dir.join("redis.conf");
        let port = options.port.map_or_else(|| remembered_port(&config), Ok)?;
        let text = settings(&dir, port, options)?;
        fs::write(&config, text).doing("write", &config)?;
        let mut argv = vec![server.into(), config.into()];
        if options.role == Role::Sentinel {
            argv.push("--sentinel".into());
        }
        let launch = Launch {
            engine: "Redis",
            argv,
            pid_file: dir.join("redis.pid"),
            log: dir.join("redis.log"),
            port,
            ready,
            gentle: Signal::SIGTERM,
            // It has nothing to save.
            stop_patience: Duration::from_secs(5),
            remove: options.ephemeral.then(|| dir.clone()),
            data: dir,
        };
        Ok(Self {
            engine: Supervised::start(launch, claim)?,
        })
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.engine.port())
    }

    /// Its port on the loopback address.
    pub fn port(&self) -> u16 {
        self.engine.port()
    }

    /// Its log.
    pub fn log(&self) -> &Path {
        self.engine.log()
    }

    /// Its process id, `None` while it does not run.
    pub fn pid(&self) -> Option<u32> {
        self.engine.pid()
    }

    /// Ends it at once, as a crash would. Restart it with [`Redis::restart`].
    pub fn kill(&self) {
        self.engine.kill();
    }

    /// Stops it where it is: connections stay open, nobody answers.
    pub fn pause(&self) -> Result<(), Error> {
        self.engine.pause()
    }

    /// Lets it go on after a pause.
    pub fn resume(&self) -> Result<(), Error> {
        self.engine.resume()
    }

    /// Makes it forget everything (FLUSHALL), as a failover to an empty replica would.
    pub fn flush(&self) -> Result<(), Error> {
        let patience = Duration::from_secs(5);
        let answer = ask(self.engine.port(), "FLUSHALL", patience);
        match answer
            .doing("empty Redis, see", self.engine.log())?
            .as_str()
        {
            "+OK" => Ok(()),
            other => Err(Error::Program {
                program: "FLUSHALL".to_owned(),
                message: other.to_owned(),
            }),
        }
    }

    /// Kills it unless it is dead already and starts it again, empty, at the same address.
    pub fn restart(&self) -> Result<(), Error> {
        self.engine.restart()
    }

    /// Stops it in order. Dropping the handle does the same.
    pub fn stop(&self) {
        self.engine.stop();
    }
}

fn remembered_port(config: &Path) -> Result<u16, Error> {
    let settings = fs::read_to_string(config).unwrap_or_default();
    let last = settings
        .lines()
        .find_map(|line| line.strip_prefix("port ")?.parse().ok());
    match last {
        Some(port) if process::is_free(port) => Ok(port),
        _ => process::free_port(),
    }
}

fn settings(dir: &Path, port: u16, options: &RedisOptions) -> Result<String, Error> {
    let dir = dir.display();
    let mut text = format!(
        "# Written at every start.\n\
         bind 127.0.0.1\n\
         port {port}\n\
         dir \"{dir}\"\n\
         pidfile \"{dir}/redis.pid\"\n\
         daemonize no\n"
    );
    if options.role != Role::Sentinel {
        text.push_str("appendonly no\nsave \"\"\n");
    }
    if options.role == Role::ClusterNode {
        let bus = process::free_port()?;
        text.push_str(&format!("cluster-enabled yes\ncluster-port {bus}\n"));
    }
    for line in &options.settings {
        text.push_str(line);
        text.push('\n');
    }
    Ok(text)
}

fn ready(launch: &Launch, _pid: u32) -> bool {
    let patience = Duration::from_millis(500);
    ask(launch.port, "PING", patience).is_ok_and(|answer| answer == "+PONG")
}

/// Sends a command of one word and reads the line that is answered.
fn ask(port: u16, command: &str, patience: Duration) -> std::io::Result<String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.write_all(format!("{command}\r\n").as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}
