//! Configuration in layers: embedded defaults < file < environment < overrides.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::config::{Config, Environment, File, FileFormat, Map, Source, Value, ValueKind};
use oms_postgres::{AuditConfig, DbConfig};
use oms_telemetry::TelemetryConfig;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::auth::config::{AuthConfig, is_loopback};
use crate::tls::TlsConfig;

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
    /// Who may call, and how callers prove who they are.
    #[serde(default)]
    pub auth: AuthConfig,
    /// Certificates of the server and of calls of peers.
    #[serde(default)]
    pub tls: TlsConfig,
    /// Logs and traces.
    #[serde(default)]
    pub telemetry: TelemetryConfig,
    /// Limits of the gRPC server.
    #[serde(default)]
    pub server: ServerConfig,
    /// The audit log.
    #[serde(default)]
    pub audit: AuditConfig,
}

/// Names of the fields of [`Common`], which the file has at its top.
const COMMON_KEYS: [&str; 10] = [
    "listen",
    "admin_listen",
    "database",
    "insecure_dev",
    "peers",
    "auth",
    "tls",
    "telemetry",
    "server",
    "audit",
];

/// Where a peer is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerConfig {
    /// `https://host:port`, by the certificates of `[tls]`; or `http://host:port`. Calls spread over all addresses of the host.
    pub url: String,
    /// Addresses of its replicas, such as `10.0.0.7:7002`, instead of those that the host's name has. Default: none.
    #[serde(default)]
    pub addresses: Vec<SocketAddr>,
    /// Age at which the host's addresses are looked up again, as long as calls are made. Default 5 000.
    #[serde(default = "default_peer_resolve_ms")]
    pub resolve_ms: u64,
    /// Longest wait for an answer of a call that sets no deadline itself. Default 10 000.
    #[serde(default = "default_peer_timeout_ms")]
    pub timeout_ms: u64,
    /// Calls in work at the same time; more wait as long as a call may take. Default 256.
    #[serde(default = "default_peer_calls_max")]
    pub calls_max: usize,
    /// Calls without an answer in a row after which the peer is left alone. Default 20.
    #[serde(default = "default_peer_failures_max")]
    pub failures_max: u32,
    /// How long it is left alone before one call looks whether it is back. Default 500.
    #[serde(default = "default_peer_pause_ms")]
    pub pause_ms: u64,
}

impl PeerConfig {
    /// The peer at this address, with defaults.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            addresses: Vec::new(),
            resolve_ms: default_peer_resolve_ms(),
            timeout_ms: default_peer_timeout_ms(),
            calls_max: default_peer_calls_max(),
            failures_max: default_peer_failures_max(),
            pause_ms: default_peer_pause_ms(),
        }
    }
}

fn default_peer_resolve_ms() -> u64 {
    5_000
}

fn default_peer_timeout_ms() -> u64 {
    10_000
}

fn default_peer_calls_max() -> usize {
    256
}

fn default_peer_failures_max() -> u32 {
    20
}

fn default_peer_pause_ms() -> u64 {
    500
}

/// Limits of the gRPC server. What is above them is refused at once and not queued.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Calls in work at the same time; more get RESOURCE_EXHAUSTED. Default 512.
    pub calls_max: usize,
    /// Webhooks in work at the same time, beside the calls; more get 503. Default 64.
    pub webhooks_max: usize,
    /// Calls of health (and reflection) in work at the same time, beside the calls, its watchers among them, a quarter of them
    /// from one address; more get RESOURCE_EXHAUSTED. Default 64.
    pub health_calls_max: usize,
    /// Open connections; more are closed at once. Default 1 024.
    pub connections_max: usize,
    /// Open connections of one address; more are closed at once. An IPv6 network of 64 bits is one address. 0 is no limit, for
    /// servers behind a gateway whose address is everybody's. Default 256; no limit in development.
    pub connections_per_address_max: Option<usize>,
    /// Calls in work at the same time on one connection. Default 256.
    pub streams_per_connection_max: u32,
    /// Longest run of one call, whatever deadline its caller gives. Default 60 000.
    pub call_timeout_ms: u64,
    /// Longest wait for the handshake of TLS, then for the first bytes of HTTP, and for the body of a webhook. Default 10 000.
    pub handshake_timeout_ms: u64,
    /// Pause between two looks at the files of `[tls]` and `[auth]`, which are read again when they have
    /// changed. Default 5 000.
    pub files_reload_ms: u64,
    /// Age at which a connection is asked to reconnect, so that calls spread over new replicas; up
    /// to a tenth is added at random. An answer without an end (`Watch..`, `Subscribe`) is ended then at the latest. Default 300.
    pub connection_age_secs: u64,
    /// At shutdown: time between saying NOT_SERVING and refusing calls, for load balancers to
    /// notice. Default 0; 5 behind one.
    pub drain_delay_ms: u64,
    /// At shutdown: longest wait for calls and background work to end, each. Default 20 000.
    pub drain_timeout_ms: u64,
}

/// Connections of one address: a quarter of what a server takes.
const CONNECTIONS_PER_ADDRESS: usize = 256;

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            calls_max: 512,
            webhooks_max: 64,
            health_calls_max: 64,
            connections_max: 1_024,
            connections_per_address_max: None,
            streams_per_connection_max: 256,
            call_timeout_ms: 60_000,
            handshake_timeout_ms: 10_000,
            files_reload_ms: 5_000,
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

    pub(crate) fn handshake_timeout(&self) -> Duration {
        Duration::from_millis(self.handshake_timeout_ms)
    }

    pub(crate) fn files_reload(&self) -> Duration {
        Duration::from_millis(self.files_reload_ms.max(1))
    }

    pub(crate) fn connection_age(&self) -> Duration {
        Duration::from_secs(self.connection_age_secs)
    }

    /// Most connections of one address; 0 is no limit. In development all come from this machine.
    pub(crate) fn connections_per_address(&self, insecure_dev: bool) -> usize {
        let default = if insecure_dev {
            0
        } else {
            CONNECTIONS_PER_ADDRESS
        };
        self.connections_per_address_max.unwrap_or(default)
    }

    pub(crate) fn drain_timeout(&self) -> Duration {
        Duration::from_millis(self.drain_timeout_ms)
    }
}

impl Common {
    /// Checks what types cannot say.
    pub(crate) fn check(&self, service: &str) -> Result<(), ConfigError> {
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
        if self.server.health_calls_max == 0 || self.server.connection_age_secs == 0 {
            return fail(
                "server.health_calls_max, server.connection_age_secs: must be at least 1"
                    .to_owned(),
            );
        }
        self.tls.check().map_err(ConfigError::Invalid)?;
        self.auth.check(service)?;
        if !self.is_plain_allowed() && !self.tls.is_on() && !self.listen.ip().is_loopback() {
            return fail(format!(
                "listen: others can reach {}, so the server needs TLS: set tls.certificate and tls.key, or \
                 tls.terminated_by_proxy when a proxy beside it ends TLS",
                self.listen
            ));
        }
        let checked = self.peers.iter().map(|(name, peer)| {
            let wrong =
                |what| ConfigError::Invalid(format!("peers.{name}.url: {:?} {what}", peer.url));
            self.check_peer(&peer.url).map_err(wrong)
        });
        checked.collect()
    }

    /// Whether connections beyond this machine may be plain.
    fn is_plain_allowed(&self) -> bool {
        self.insecure_dev || self.tls.terminated_by_proxy
    }

    /// The error completes a sentence about the address.
    fn check_peer(&self, url: &str) -> Result<(), &'static str> {
        let uri = url.parse::<http::Uri>().ok();
        let parts = uri.as_ref().map(|uri| (uri.scheme_str(), uri.host()));
        match parts {
            Some((Some("https"), Some(_))) if self.tls.client_ca.is_some() => Ok(()),
            Some((Some("https"), Some(_))) => {
                Err("needs tls.client_ca, who signs the peers' certificates")
            }
            Some((Some("http"), Some(host))) if self.is_plain_allowed() || is_loopback(host) => {
                Ok(())
            }
            Some((Some("http"), Some(_))) => Err("is on another machine and must be https://"),
            _ => Err("is not https://host:port"),
        }
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
    variables: Option<Variables>,
    overrides: Vec<String>,
}

impl Layers {
    /// What a program reads: the file, if one is given, and the environment.
    pub fn of_program(file: Option<&Path>) -> Self {
        Self {
            file: file.map(Path::to_owned),
            variables: Some(Variables::default()),
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
    if let Some(variables) = &layers.variables {
        builder = builder.add_source(variables.of_service(service));
    }
    for text in &layers.overrides {
        builder = builder.add_source(toml(text));
    }
    let keys: Map<String, Value> = builder.build()?.try_deserialize()?;
    Ok(T::deserialize(fold_common(keys)?)?)
}

/// Reads a TOML text of its own, such as an embedded list.
pub(crate) fn from_toml<T: DeserializeOwned>(text: &str) -> Result<T, ConfigError> {
    Ok(Config::builder()
        .add_source(toml(text))
        .build()?
        .try_deserialize()?)
}

fn toml(text: &str) -> File<::config::FileSourceString, FileFormat> {
    File::from_str(text, FileFormat::Toml)
}

/// Environment variables as a layer.
#[derive(Debug, Clone, Default)]
struct Variables {
    environment: Environment,
}

impl Variables {
    fn of_service(&self, service: &str) -> Self {
        let environment = self.environment.clone();
        Self {
            environment: environment
                .prefix(&format!("OMS_{}", service.to_uppercase()))
                .prefix_separator("__")
                .separator("__"),
        }
    }
}

impl Source for Variables {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    /// Variables are text, which the types of the structs make numbers of; a list is TOML. `[::]:7001` is an address.
    fn collect(&self) -> Result<Map<String, Value>, ::config::ConfigError> {
        let mut values = self.environment.collect()?;
        for value in values.values_mut() {
            if let ValueKind::String(text) = &value.kind
                && text.starts_with('[')
                && text.parse::<SocketAddr>().is_err()
            {
                let list = toml(&format!("list = {text}"));
                *value = Config::builder().add_source(list).build()?.get("list")?;
            }
        }
        Ok(values)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULTS: &str = r#"
        listen = "127.0.0.1:7001"
        admin_listen = "127.0.0.1:8001"
        [database]
        url = "postgres://localhost/oms_order"
        [payments]
        timeout_ms = 10
    "#;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        common: Common,
        payments: Payments,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Payments {
        timeout_ms: u64,
        #[serde(default)]
        retries: Vec<u64>,
    }

    impl Layers {
        fn with_variables(mut self, variables: &[(&str, &str)]) -> Self {
            let pairs = variables
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
            self.variables = Some(Variables {
                environment: Environment::default().source(Some(pairs.collect())),
            });
            self
        }
    }

    fn load(layers: &Layers) -> Result<Sample, ConfigError> {
        load_layers("order", DEFAULTS, layers)
    }

    fn error(layers: &Layers) -> String {
        load(layers).unwrap_err().to_string()
    }

    #[test]
    fn the_defaults_are_enough() {
        let sample = load(&Layers::default()).unwrap();
        assert_eq!(sample.common.listen.port(), 7001);
        assert!(!sample.common.insecure_dev);
        assert_eq!(sample.common.server, ServerConfig::default());
        assert_eq!(sample.payments.timeout_ms, 10);
        sample.common.check("order").unwrap();
    }

    #[test]
    fn the_file_wins_over_defaults_and_the_environment_over_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("order.toml");
        let text = "[payments]\ntimeout_ms = 20\n[server]\ncalls_max = 7\n";
        std::fs::write(&file, text).unwrap();
        let layers = Layers::of_program(Some(&file)).with_variables(&[
            ("OMS_ORDER__PAYMENTS__TIMEOUT_MS", "30"),
            ("OMS_ORDER__PAYMENTS__RETRIES", "[1, 2]"),
            ("OMS_ORDER__DATABASE__MAX_CONNECTIONS", "3"),
            ("OMS_ORDER__PEERS__INVENTORY__URL", "http://inventory:7002"),
            ("OMS_ORDER__INSECURE_DEV", "true"),
            ("OMS_ORDER_DATABASE_URL", "is somebody else's"),
            ("OMS_INVENTORY__LISTEN", "is another service's"),
        ]);
        let sample = load(&layers).unwrap();
        assert_eq!(sample.payments.timeout_ms, 30);
        assert_eq!(sample.payments.retries, [1, 2]);
        let layers = Layers::default().with_variables(&[("OMS_ORDER__LISTEN", "[::]:7001")]);
        assert_eq!(load(&layers).unwrap().common.listen.port(), 7_001);
        assert_eq!(sample.common.server.calls_max, 7);
        assert_eq!(sample.common.database.max_connections, 3);
        assert_eq!(
            sample.common.peers["inventory"],
            PeerConfig::new("http://inventory:7002")
        );
        assert!(sample.common.insecure_dev);
        let overridden = load(&layers.with("payments.timeout_ms = 40")).unwrap();
        assert_eq!(overridden.payments.timeout_ms, 40);
    }

    #[test]
    fn unknown_keys_are_refused_in_every_layer_and_every_depth() {
        for text in [
            "lisen = \"x\"",
            "[payments]\ntimeout = 1",
            "[server]\ncalls = 1",
            "[database]\nuri = \"x\"",
            "[peers.inventory]\nurl = \"http://a:1\"\nurls = 1",
            "[common]\nlisten = \"127.0.0.1:1\"",
        ] {
            let message = error(&Layers::of_text(text));
            assert!(message.contains("unknown"), "{text}: {message}");
        }
        let typo = Layers::default().with_variables(&[("OMS_ORDER__LISEN", "x")]);
        let message = error(&typo);
        assert!(
            message.contains("`lisen`") && message.contains("`listen`"),
            "{message}"
        );
    }

    #[test]
    fn wrong_values_name_their_key() {
        let message = error(&Layers::of_text("[payments]\ntimeout_ms = \"soon\""));
        assert!(message.contains("payments.timeout_ms"), "{message}");
        let message = error(&Layers::of_text("listen = \"here\""));
        assert!(message.contains("listen"), "{message}");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("order.toml");
        let message = error(&Layers::of_program(Some(&file)));
        assert!(message.contains("order.toml"), "{message}");
        std::fs::write(&file, "listen = ").unwrap();
        let message = error(&Layers::of_program(Some(&file)));
        assert!(message.contains("order.toml"), "{message}");
    }

    #[test]
    fn insecure_dev_stays_on_this_machine() {
        let check = |text: &str| {
            let sample = load(&Layers::of_text(text)).unwrap();
            sample
                .common
                .check("order")
                .map_err(|error| error.to_string())
        };
        let open = "insecure_dev = true\nlisten = \"0.0.0.0:7001\"";
        assert!(check(open).unwrap_err().contains("loopback"));
        let open = "insecure_dev = true\nadmin_listen = \"0.0.0.0:7001\"";
        assert!(check(open).unwrap_err().contains("admin_listen"));
        assert_eq!(
            check("insecure_dev = true\nlisten = \"[::1]:7001\""),
            Ok(())
        );
        let peer = "[peers.inventory]\nurl = \"inventory:7002\"";
        assert!(check(peer).unwrap_err().contains("peers.inventory.url"));
    }

    #[test]
    fn what_others_can_reach_or_read_needs_tls() {
        let check = |text: &str| {
            let sample = load(&Layers::of_text(text)).unwrap();
            sample
                .common
                .check("order")
                .map_err(|error| error.to_string())
        };
        let open = "listen = \"0.0.0.0:7001\"\n";
        let peer = "[peers.inventory]\nurl = \"http://inventory:7002\"\n";
        let secure = peer.replace("http:", "https:");
        let refused = check(open).unwrap_err();
        assert!(refused.contains("tls.certificate"), "{refused}");
        assert!(check(peer).unwrap_err().contains("must be https"));
        assert!(check(&secure).unwrap_err().contains("tls.client_ca"));
        let tls = "[tls]\ncertificate = \"c\"\nkey = \"k\"\nclient_ca = \"a\"\n";
        assert_eq!(check(&format!("{open}{secure}{tls}")), Ok(()));
        assert!(check(&format!("{open}{peer}{tls}")).is_err());
        let proxy = "[tls]\nterminated_by_proxy = true\n";
        assert_eq!(check(&format!("{open}{peer}{proxy}")), Ok(()));
        assert_eq!(check(&format!("insecure_dev = true\n{peer}")), Ok(()));
    }

    #[test]
    fn passwords_are_not_shown() {
        let secret = "[database]\nurl = \"postgres://u:hunter2@h/d\"";
        let sample = load(&Layers::of_text(secret)).unwrap();
        assert!(!format!("{sample:?}").contains("hunter2"));
    }
}
