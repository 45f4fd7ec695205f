//! Which server is asked for which names.

use redis::{ScriptInvocation, Value};

use crate::address::{self, Address};
use crate::cluster::Cluster;
use crate::config::{ConfigError, LeaseConfig};
use crate::connect::Connector;
use crate::keys::Keys;
use crate::link::{Connected, Failure, Link};
use crate::unavailable::Unavailable;

/// How often one call follows keys that have moved.
const MOVES_MAX: usize = 2;

/// Where leases are asked for.
pub(crate) enum Servers {
    /// One server, or the leader of several: it has every name.
    One(Link),
    /// Every node has some names.
    Many(Cluster),
}

/// Names that one script may touch, and the server that has them.
pub(crate) struct Group {
    pub(crate) names: Vec<String>,
    pub(crate) link: Result<Link, Unavailable>,
}

impl Servers {
    /// Connects at the first call.
    pub(crate) fn new(config: &LeaseConfig) -> Result<Self, ConfigError> {
        Ok(match address::parse(&config.url)? {
            Address::Single(server) => {
                let name = server.addr().to_string();
                let connector = Connector::server(server, config.roots()?)?;
                Self::One(Link::new(name, connector, config))
            }
            Address::Sentinel {
                sentinels,
                service,
                login,
            } => {
                let connector = Connector::leader(sentinels, &service, login)?;
                Self::One(Link::new(service, connector, config))
            }
            Address::Cluster { nodes, login } => Self::Many(Cluster::new(nodes, login, config)),
        })
    }

    /// Splits names, in their order, into what one script may touch: all of them at one server, each
    /// by itself in a Cluster.
    pub(crate) async fn groups(
        &self,
        prefix: &str,
        names: Vec<String>,
    ) -> Result<Vec<Group>, Unavailable> {
        match self {
            Self::One(link) => Ok(vec![Group {
                names,
                link: Ok(link.clone()),
            }]),
            Self::Many(cluster) => {
                let keys = names.iter().map(|name| Keys::of(prefix, name).lease);
                let links = cluster.links_of(keys).await?;
                let alone = |(name, link)| Group {
                    names: vec![name],
                    link,
                };
                Ok(names.into_iter().zip(links).map(alone).collect())
            }
        }
    }

    /// Runs a script where its keys are. Tells `before` every connection on which it will be asked.
    pub(crate) async fn run(
        &self,
        group: &Group,
        call: &ScriptInvocation<'_>,
        mut before: impl FnMut(&Connected),
    ) -> Result<Value, Unavailable> {
        let mut link = group.link.clone()?;
        for _ in 0..=MOVES_MAX {
            let connected = link.connected().await.inspect_err(|_| self.failed())?;
            before(&connected);
            let mut connection = connected.connection.clone();
            match connected.ask(call.invoke_async(&mut connection)).await {
                Ok(reply) => return Ok(reply),
                Err(Failure::Moved(to)) => link = self.moved(&to, &link)?,
                Err(Failure::Unavailable(reason)) => {
                    self.failed();
                    return Err(reason);
                }
            }
        }
        Err(Unavailable::Command("keys move on and on".to_owned()))
    }

    fn moved(&self, to: &str, asked: &Link) -> Result<Link, Unavailable> {
        match self {
            Self::One(_) => Err(Unavailable::Command(format!(
                "keys are at {to}: this is a node of a Cluster, and redis+cluster:// its scheme"
            ))),
            Self::Many(cluster) => cluster.moved(to, asked),
        }
    }

    /// A node that fails may have been replaced by another.
    fn failed(&self) {
        if let Self::Many(cluster) = self {
            cluster.ask_soon();
        }
    }
}
