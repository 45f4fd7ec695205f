//! Addresses: of one Redis, of the Sentinels that know its leader, of the nodes of a Cluster.

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo};

use crate::config::ConfigError;

const SENTINEL_PORT: u16 = 26_379;
const CLUSTER_PORT: u16 = 6_379;

/// Where leases are asked for.
#[derive(Clone)]
pub(crate) enum Address {
    /// One server.
    Single(ConnectionInfo),
    /// The leader of a service, wherever it is; its Sentinels know.
    Sentinel {
        sentinels: Vec<ConnectionInfo>,
        service: String,
        /// User, password and database at the leader.
        login: RedisConnectionInfo,
    },
    /// Some nodes of a Cluster, which know the others.
    Cluster {
        nodes: Vec<Node>,
        /// User and password, the same at all nodes.
        login: RedisConnectionInfo,
    },
}

/// Host and port of a node.
pub(crate) type Node = (String, u16);

/// Understands an address; the forms stand at [`crate::LeaseConfig::url`].
pub(crate) fn parse(url: &str) -> Result<Address, ConfigError> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    match scheme {
        "redis" | "rediss" => Ok(Address::Single(info(url)?)),
        "redis+sentinel" => sentinel(&Parts::of(rest)?),
        "redis+cluster" => cluster(&Parts::of(rest)?),
        "rediss+sentinel" | "rediss+cluster" => Err(refused(format!(
            "{scheme}: TLS is supported with one server only, rediss://"
        ))),
        _ => Err(refused(format!("unsupported scheme {scheme:?}"))),
    }
}

fn sentinel(parts: &Parts<'_>) -> Result<Address, ConfigError> {
    let (service, database) = parts.path.split_once('/').unwrap_or((parts.path, "0"));
    if service.is_empty() {
        let form = "redis+sentinel://host[:port][,host[:port]..]/service";
        return Err(refused(format!("no service name: {form}")));
    }
    let mut user = "";
    let mut password = None;
    for pair in parts.query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("sentinel_username", value)) => user = value,
            Some(("sentinel_password", value)) => password = Some(value),
            _ => {
                let key = pair.split('=').next().unwrap_or_default();
                return Err(refused(format!("unknown parameter {key:?}")));
            }
        }
    }
    let watcher = password.map_or_else(String::new, |password| format!("{user}:{password}@"));
    Ok(Address::Sentinel {
        sentinels: parts.nodes(&watcher, SENTINEL_PORT)?,
        service: service.to_owned(),
        login: login(parts.login, database)?,
    })
}

fn cluster(parts: &Parts<'_>) -> Result<Address, ConfigError> {
    if !parts.path.is_empty() || !parts.query.is_empty() {
        return Err(refused("a Cluster has one database, 0".to_owned()));
    }
    let nodes = parts.nodes("", CLUSTER_PORT)?;
    Ok(Address::Cluster {
        nodes: nodes.iter().filter_map(place).collect(),
        login: login(parts.login, "0")?,
    })
}

/// What comes after the scheme of an address with many hosts.
struct Parts<'a> {
    /// `user:password@`, or empty.
    login: &'a str,
    hosts: Vec<&'a str>,
    path: &'a str,
    query: &'a str,
}

impl<'a> Parts<'a> {
    fn of(rest: &'a str) -> Result<Self, ConfigError> {
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let hosts_at = authority.rfind('@').map_or(0, |at| at + 1);
        let (login, hosts) = authority.split_at(hosts_at);
        let hosts: Vec<&str> = hosts.split(',').collect();
        if hosts.iter().any(|host| host.is_empty()) {
            return Err(refused("a host is empty".to_owned()));
        }
        Ok(Self {
            login,
            hosts,
            path,
            query,
        })
    }

    fn nodes(&self, login: &str, port: u16) -> Result<Vec<ConnectionInfo>, ConfigError> {
        let node = |host: &&str| {
            // The colons of an address such as [::1] are not before a port.
            let has_port = host
                .rsplit_once(':')
                .is_some_and(|(_, port)| !port.contains(']'));
            if has_port {
                info(&format!("redis://{login}{host}/"))
            } else {
                info(&format!("redis://{login}{host}:{port}/"))
            }
        };
        self.hosts.iter().map(node).collect()
    }
}

/// `user:password@` and a database, as the client understands them.
fn login(user: &str, database: &str) -> Result<RedisConnectionInfo, ConfigError> {
    let any = info(&format!("redis://{user}any/{database}"))?;
    Ok(any.redis_settings().clone())
}

fn place(node: &ConnectionInfo) -> Option<Node> {
    match node.addr() {
        ConnectionAddr::Tcp(host, port) => Some((host.clone(), *port)),
        _ => None,
    }
}

fn info(url: &str) -> Result<ConnectionInfo, ConfigError> {
    url.into_connection_info()
        .map_err(|cause| refused(cause.to_string()))
}

fn refused(why: String) -> ConfigError {
    ConfigError::Url(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(nodes: &[ConnectionInfo]) -> Vec<String> {
        nodes.iter().map(|node| node.addr().to_string()).collect()
    }

    fn refusal(url: &str) -> String {
        match parse(url) {
            Err(ConfigError::Url(why)) => why,
            _ => panic!("{url} is understood"),
        }
    }

    #[test]
    fn one_redis() {
        let Ok(Address::Single(node)) = parse("redis://u:p%40ss@cache:6380/2") else {
            panic!("a single Redis");
        };
        assert_eq!(node.addr().to_string(), "cache:6380");
        let login = node.redis_settings();
        assert_eq!(login.username(), Some("u"));
        assert_eq!((login.password(), login.db()), (Some("p@ss"), 2));
    }

    #[test]
    fn sentinels_with_logins_of_their_own() {
        let url = "redis+sentinel://:secret@s1,s2:5000,[::1]/mymaster/3?sentinel_username=watch&sentinel_password=other";
        let Ok(Address::Sentinel {
            sentinels,
            service,
            login,
        }) = parse(url)
        else {
            panic!("Sentinels");
        };
        assert_eq!(addresses(&sentinels), ["s1:26379", "s2:5000", "::1:26379"]);
        for sentinel in &sentinels {
            assert_eq!(sentinel.redis_settings().username(), Some("watch"));
            assert_eq!(sentinel.redis_settings().password(), Some("other"));
            assert_eq!(sentinel.redis_settings().db(), 0);
        }
        assert_eq!(service, "mymaster");
        assert_eq!((login.password(), login.db()), (Some("secret"), 3));
    }

    #[test]
    fn nodes_of_a_cluster_share_a_login() {
        let Ok(Address::Cluster { nodes, login }) = parse("redis+cluster://u:p@a:7000,b") else {
            panic!("a Cluster");
        };
        assert_eq!(nodes, [("a".to_owned(), 7_000), ("b".to_owned(), 6_379)]);
        assert_eq!((login.username(), login.password()), (Some("u"), Some("p")));
    }

    #[test]
    fn what_cannot_work_is_refused_with_the_reason_and_without_the_password() {
        for (url, why) in [
            ("rediss+cluster://cache", "TLS"),
            ("http://cache", "http"),
            ("cache:6379", "unsupported scheme"),
            ("redis+sentinel://s1,s2", "service"),
            ("redis+sentinel://s1,,s2/mymaster", "empty"),
            ("redis+sentinel://s1/mymaster?timeout=1", "timeout"),
            ("redis+cluster://a/1", "database"),
            ("redis+cluster://", "empty"),
        ] {
            assert!(refusal(url).contains(why), "{url}: {}", refusal(url));
        }
        for url in [
            "redis://:hunter2@cache:port",
            "redis+cluster://:hunter2@a:port",
        ] {
            assert!(!refusal(url).contains("hunter2"), "{}", refusal(url));
        }
    }
}
