//! A Redis Cluster: which node has which key, and a link to each node. Every link has a connection,
//! time-outs and a rest after failures of its own, so that a node that is gone costs the others
//! nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use futures::FutureExt;
use futures::future::select_ok;
use redis::{IntoConnectionInfo, RedisConnectionInfo};

use crate::address::Node;
use crate::config::LeaseConfig;
use crate::connect::Connector;
use crate::link::{Failure, Link};
use crate::slots::{self, Range};
use crate::unavailable::Unavailable;

/// The nodes of a Cluster. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Cluster {
    inner: Arc<Inner>,
}

struct Inner {
    config: LeaseConfig,
    /// As configured: where to ask when none of the nodes known answers.
    seeds: Vec<Node>,
    login: RedisConnectionInfo,
    map: Mutex<Map>,
    /// Held while the nodes are asked who serves what.
    asking: tokio::sync::Mutex<()>,
}

/// What is known of the nodes.
#[derive(Default)]
struct Map {
    /// Sorted.
    ranges: Vec<Range>,
    links: BTreeMap<Node, Link>,
    asked_at: Option<Instant>,
}

impl Cluster {
    /// Connects at the first call.
    pub(crate) fn new(seeds: Vec<Node>, login: RedisConnectionInfo, config: &LeaseConfig) -> Self {
        Self {
            inner: Arc::new(Inner {
                config: config.clone(),
                seeds,
                login,
                map: Mutex::default(),
                asking: tokio::sync::Mutex::default(),
            }),
        }
    }

    /// The links to the nodes of these keys, one each.
    pub(crate) async fn links_of(
        &self,
        keys: impl Iterator<Item = String>,
    ) -> Result<Vec<Result<Link, Unavailable>>, Unavailable> {
        if self.map().ranges.is_empty() {
            self.ask_first().await?;
        }
        let map = self.map();
        let links: Vec<_> = keys.map(|key| map.link_of(slots::of(&key))).collect();
        drop(map);
        if links.iter().any(Result::is_err) {
            self.ask_soon();
        }
        Ok(links)
    }

    /// The link to the node at which keys are instead, as the asked node says.
    pub(crate) fn moved(&self, to: &str, asked: &Link) -> Result<Link, Unavailable> {
        self.ask_soon();
        let unexpected = || Unavailable::Command(format!("keys have moved to {to:?}"));
        let (host, port) = to.rsplit_once(':').ok_or_else(unexpected)?;
        let port: u16 = port.parse().map_err(|_| unexpected())?;
        // No host: it is the one that was asked.
        let (asked_host, _) = asked.name().rsplit_once(':').unwrap_or_default();
        let host = if host.is_empty() { asked_host } else { host };
        self.link_to((host.to_owned(), port), &mut self.map())
    }

    /// Has the nodes asked who serves what, unless that was done a moment ago. Nobody waits for it.
    pub(crate) fn ask_soon(&self) {
        let rest = self.inner.config.retry_after;
        let asked_at = &mut self.map().asked_at;
        if asked_at.is_some_and(|at| at.elapsed() < rest) {
            return;
        }
        *asked_at = Some(Instant::now());
        let cluster = self.clone();
        tokio::spawn(async move {
            let _turn = cluster.inner.asking.lock().await;
            if let Err(unavailable) = cluster.ask().await {
                tracing::debug!(%unavailable, "no node of the Cluster says who serves what");
            }
        });
    }

    /// Asks unless somebody else has done so meanwhile.
    async fn ask_first(&self) -> Result<(), Unavailable> {
        let _turn = self.inner.asking.lock().await;
        if self.map().ranges.is_empty() {
            self.ask().await
        } else {
            Ok(())
        }
    }

    /// Learns who serves what from the first node that answers.
    async fn ask(&self) -> Result<(), Unavailable> {
        let known: Vec<Link> = self.map().links.values().cloned().collect();
        let ranges = match ask_any(known).await {
            Some(Ok(ranges)) => ranges,
            _ => match ask_any(self.seeds()?).await {
                Some(answer) => answer?,
                None => return Err(Unavailable::Connect("no nodes".to_owned())),
            },
        };
        self.learn(ranges)
    }

    /// Links to the configured nodes; kept until who serves what is learned, so that a failure is
    /// told once.
    fn seeds(&self) -> Result<Vec<Link>, Unavailable> {
        let mut map = self.map();
        let seeds = self.inner.seeds.iter().cloned();
        seeds.map(|node| self.link_to(node, &mut map)).collect()
    }

    fn learn(&self, ranges: Vec<Range>) -> Result<(), Unavailable> {
        let mut map = self.map();
        let mut links = BTreeMap::new();
        for range in &ranges {
            let link = self.link_to(range.node.clone(), &mut map)?;
            links.insert(range.node.clone(), link);
        }
        map.ranges = ranges;
        map.links = links;
        Ok(())
    }

    fn link_to(&self, node: Node, map: &mut Map) -> Result<Link, Unavailable> {
        if let Some(link) = map.links.get(&node) {
            return Ok(link.clone());
        }
        let connector = node
            .clone()
            .into_connection_info()
            .map_err(|cause| Unavailable::Connect(cause.to_string()))
            .and_then(|address| {
                let address = address.set_redis_settings(self.inner.login.clone());
                Connector::server(address, None)
                    .map_err(|cause| Unavailable::Connect(cause.to_string()))
            })?;
        let (host, port) = &node;
        let link = Link::new(format!("{host}:{port}"), connector, &self.inner.config);
        map.links.insert(node, link.clone());
        Ok(link)
    }

    fn map(&self) -> MutexGuard<'_, Map> {
        self.inner
            .map
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Map {
    fn link_of(&self, slot: u16) -> Result<Link, Unavailable> {
        slots::find(&self.ranges, slot)
            .and_then(|node| self.links.get(node))
            .cloned()
            .ok_or_else(|| Unavailable::Command(format!("no node serves slot {slot}")))
    }
}

/// The first answer of any node; an error if all fail, `None` without nodes.
async fn ask_any(nodes: Vec<Link>) -> Option<Result<Vec<Range>, Unavailable>> {
    if nodes.is_empty() {
        return None;
    }
    let asked = nodes.into_iter().map(|node| ask_node(node).boxed());
    Some(select_ok(asked).await.map(|(ranges, _others)| ranges))
}

async fn ask_node(node: Link) -> Result<Vec<Range>, Unavailable> {
    let connected = node.connected().await?;
    let mut command = redis::cmd("CLUSTER");
    command.arg("SLOTS");
    let mut connection = connected.connection.clone();
    let reply = connected.ask(command.query_async(&mut connection)).await;
    let reply: redis::Value = reply.map_err(|failure| match failure {
        Failure::Unavailable(reason) => reason,
        Failure::Moved(to) => Unavailable::Command(format!("slots have moved to {to:?}")),
    })?;
    let (host, _port) = node.name().rsplit_once(':').unwrap_or_default();
    slots::ranges(&reply, host)
        .filter(|ranges| !ranges.is_empty())
        .ok_or_else(|| Unavailable::Command(format!("{} is in no Cluster", node.name())))
}
