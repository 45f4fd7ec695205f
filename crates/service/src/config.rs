//! Configuration in layers: embedded defaults < file < environment < overrides.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::config::{Config, Environment, File, FileFormat, Map, Value, ValueKind};
use oms_postgres::DbConfig;
use oms_telemetry::TelemetryConfig;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The sections that every service has. They stand at the top of the file; in the service's own
/// struct they are one field named `common`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Common {
    /// Address of the gRPC port, such as `127.0.0.1:7001`. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Address of the admin port: `/livez`, `/readyz` and `/metrics` over HTTP.
    pub admin_listen: SocketAddr,
    /// The service's own database.
    pub database: DbConfig,
    /// For development: callers name themselves by the header `oms-principal`, reflection and grpc-web
    /// from any origin are on. Both ports must then be on loopback. Default: off.
    #[serde(default)]
    pub insecure_dev: bool,
    /// The services that this one calls, by name: `[peers.inventory] url = "http://..."`.
    #[serde(default)]
    pub peers: BTreeMap<String, PeerConfig>,
    /// Logs and traces.
    #[serde(default)]
    pub telemetry: TelemetryConfig,
    /// Limits of the gRPC server.
    #[serde(default)]
    pub server: ServerConfig,
}

/// Names of the fields of [`Common`], which the file has at its top.
const COMMON_KEYS: [&str; 7] = [
    "listen",
    "admin_listen",
    "database",
    "insecure_dev",
    "peers",
    "telemetry",
    "server",
];

/// Where a peer is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerConfig {
    /// `http://host:port`.
    pub url: String,
    /// Longest wait for an answer of a call that sets no deadline itself. Default 10 000.
    #[serde(default = "default_peer_timeout_ms")]
    pub timeout_ms: u64,
}

impl PeerConfig {
    /// The peer at this address, with defaults.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            timeout_ms: default_peer_timeout_ms(),
        }
    }
}

fn default_peer_timeout_ms() -> u64 {
    10_000
}

/// Limits of the gRPC server. What is above them is refused at once and not queued.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Calls in work at the same time; more get RESOURCE_EXHAUSTED. Default 512.
    pub calls_max: usize,
    /// Open connections; more are closed at once. Default 1 024.
    pub connections_max: usize,
    /// Calls in work at the same time on one connection. Default 256.
    pub streams_per_connection_max: u32,
    /// Longest run of one call, whatever deadline its caller gives. Default 60 000.
    pub call_timeout_ms: u64,
    /// Age at which a connection is asked to reconnect, so that calls spread over new replicas; up
    /// to a tenth is added at random. Default 300.
    pub connection_age_secs: u64,
    /// At shutdown: time between saying NOT_SERVING and refusing calls, for load balancers to
    /// notice. Default 0; 5 behind one.
    pub drain_delay_ms: u64,
    /// At shutdown: longest wait for calls and background work to end, each. Default 20 000.
    pub drain_timeout_ms: u64,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            calls_max: 512,
            connections_max: 1_024,
            streams_per_connection_max: 256,
            call_timeout_ms: 60_000,
            connection_age_secs: 300,
            drain_delay_ms: 0,
            drain_timeout_ms: 20_000,
        }
    }
}

impl ServerConfig {
    pub(crate) fn call_timeout(&self) -> Duration {
        Duration::from_millis(self.call_timeout_ms)
    }

    pub(crate) fn drain_timeout(&self) -> Duration {
        Duration::from_millis(self.drain_timeout_ms)
    }
}

impl Common {
    /// Checks what types cannot say.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let fail = |message: String| Err(ConfigError::Invalid(message));
        for (key, addr) in [("listen", self.listen), ("admin_listen", self.admin_listen)] {
            if self.insecure_dev && !addr.ip().is_loopback() {
                return fail(format!(
                    "{key}: {addr} is not a loopback address, which insecure_dev requires"
                ));
            }
        }
        if self.database.url.is_empty() {
            return fail("database.url: must not be empty".to_owned());
        }
        if self.database.max_connections == 0 {
            return fail("database.max_connections: must be at least 1".to_owned());
        }
        if self.server.calls_max == 0 || self.server.connections_max == 0 {
            return fail("server.calls_max, server.connections_max: must be at least 1".to_owned());
        }
        for (name, peer) in &self.peers {
            let uri = peer.url.parse::<http::Uri>().ok();
            let is_address = uri.is_some_and(|uri| {
                uri.authority().is_some() && matches!(uri.scheme_str(), Some("http" | "https"))
            });
            if !is_address {
                return fail(format!(
                    "peers.{name}.url: {:?} is not http://host:port",
                    peer.url
                ));
            }
        }
        Ok(())
    }
}

/// The configuration cannot be used. The text says which key is wrong and where it was set.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The configuration file cannot be read.
    #[error("configuration file {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A layer is malformed, or a key is unknown, missing or has a wrong value.
    #[error("configuration: {0}")]
    Invalid(String),
}

impl From<::config::ConfigError> for ConfigError {
    fn from(error: ::config::ConfigError) -> Self {
        // To the user there is no `common`: its keys stand at the top.
        let keys = COMMON_KEYS.map(|key| format!("`{key}`")).join(", ");
        Self::Invalid(error.to_string().replace("`common`", &keys))
    }
}

/// The layers above the embedded defaults.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    file: Option<PathBuf>,
    environment: bool,
    overrides: Vec<String>,
}

impl Layers {
    /// What a program reads: the file, if one is given, and the environment.
    pub fn of_program(file: Option<&Path>) -> Self {
        Self {
            file: file.map(Path::to_owned),
            environment: true,
            overrides: Vec::new(),
        }
    }

    /// What a test or `oms up` gives: TOML text and nothing from outside.
    pub fn of_text(toml: impl Into<String>) -> Self {
        Self::default().with(toml)
    }

    /// Adds TOML text that wins over everything so far.
    #[must_use]
    pub fn with(mut self, toml: impl Into<String>) -> Self {
        self.overrides.push(toml.into());
        self
    }
}

/// Loads a service's configuration as its program does: `defaults` (the TOML embedded in the
/// program) < `file` < environment variables `OMS_<SERVICE>__..` (`OMS_ORDER__DATABASE__URL` sets
/// `database.url` of the service `order`). Unknown keys are refused in every layer.
pub fn load<T: DeserializeOwned>(
    service: &str,
    defaults: &str,
    file: Option<&Path>,
) -> Result<T, ConfigError> {
    load_layers(service, defaults, &Layers::of_program(file))
}

/// [`load`] with the layers chosen by the caller.
pub fn load_layers<T: DeserializeOwned>(
    service: &str,
    defaults: &str,
    layers: &Layers,
) -> Result<T, ConfigError> {
    let mut builder = Config::builder().add_source(toml(defaults));
    if let Some(path) = &layers.file {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::File {
            path: path.clone(),
            source,
        })?;
        // Parsed on its own first, so that the error names the file.
        let parsed = Config::builder().add_source(toml(&text)).build();
        if let Err(error) = parsed {
            return Err(ConfigError::Invalid(format!("{}: {error}", path.display())));
        }
        builder = builder.add_source(toml(&text));
    }
    if layers.environment {
        builder = builder.add_source(environment(service));
    }
    for text in &layers.overrides {
        builder = builder.add_source(toml(text));
    }
    let keys: Map<String, Value> = builder.build()?.try_deserialize()?;
    Ok(T::deserialize(fold_common(keys)?)?)
}

fn toml(text: &str) -> File<::config::FileSourceString, FileFormat> {
    File::from_str(text, FileFormat::Toml)
}

fn environment(service: &str) -> Environment {
    Environment::with_prefix(&format!("OMS_{}", service.to_uppercase()))
        .prefix_separator("__")
        .separator("__")
}

/// Moves the keys of [`Common`] from the top into one table, as the structs have them.
fn fold_common(mut keys: Map<String, Value>) -> Result<Value, ConfigError> {
    if keys.contains_key("common") {
        let message = "unknown key `common`: its keys stand at the top";
        return Err(ConfigError::Invalid(message.to_owned()));
    }
    let common: Map<String, Value> = COMMON_KEYS
        .into_iter()
        .filter_map(|key| keys.remove(key).map(|value| (key.to_owned(), value)))
        .collect();
    keys.insert(
        "common".to_owned(),
        Value::new(None, ValueKind::Table(common)),
    );
    Ok(Value::new(None, ValueKind::Table(keys)))
}
