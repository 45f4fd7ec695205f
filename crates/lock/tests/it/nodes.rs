//! Many servers: a Cluster, and a leader with a replica and a Sentinel.

use std::collections::BTreeMap;

use oms_testkit::{PrivateRedis, Role, private_redis_as, wait_for};

use crate::holders::{ask, send};

const SLOTS: usize = 16_384;

/// A Cluster of three leaders that serve a third of the slots each. A slot nobody serves ends
/// nothing but its own names.
pub(crate) struct Nodes {
    nodes: Vec<PrivateRedis>,
}

impl Nodes {
    pub(crate) async fn start() -> Self {
        let mut nodes = Vec::new();
        for place in 0..3 {
            let node = cluster_node().await;
            send(
                &node.url(),
                "CLUSTER",
                &["SET-CONFIG-EPOCH", &(place + 1).to_string()],
            )
            .await;
            let (first, end) = (SLOTS * place / 3, SLOTS * (place + 1) / 3);
            let range = [first.to_string(), (end - 1).to_string()];
            send(
                &node.url(),
                "CLUSTER",
                &["ADDSLOTSRANGE", &range[0], &range[1]],
            )
            .await;
            nodes.push(node);
        }
        let all = Self { nodes };
        for node in &all.nodes[1..] {
            all.meet(node).await;
        }
        for node in &all.nodes {
            until_says(
                node,
                "CLUSTER",
                &["INFO"],
                &[
                    "cluster_state:ok",
                    "cluster_known_nodes:3",
                    // Each has heard who serves what.
                    "cluster_slots_assigned:16384",
                ],
            )
            .await;
        }
        all
    }

    /// All nodes but the last, which has to be found.
    pub(crate) fn url(&self) -> String {
        let (first, second) = (self.nodes[0].port(), self.nodes[1].port());
        format!("redis+cluster://127.0.0.1:{first},127.0.0.1:{second}")
    }

    pub(crate) fn node(&self, place: usize) -> &PrivateRedis {
        &self.nodes[place]
    }

    /// A name whose keys are at the node in this place.
    pub(crate) async fn name_at(&self, place: usize) -> String {
        let mut number = 0;
        loop {
            let name = format!("sku-{number}");
            if self.slot_of(&name).await * 3 / SLOTS == place {
                return name;
            }
            number += 1;
        }
    }

    pub(crate) async fn slot_of(&self, name: &str) -> usize {
        let key = format!("{{{name}}}");
        let slot = send(&self.nodes[0].url(), "CLUSTER", &["KEYSLOT", &key]).await;
        redis::from_redis_value(slot).unwrap()
    }

    pub(crate) async fn id_of(&self, place: usize) -> String {
        ask(&self.nodes[place].url(), "CLUSTER", &["MYID"]).await
    }

    /// Adds a replica of the node in this place, and waits until it has its data.
    pub(crate) async fn add_replica_of(&mut self, place: usize) {
        let replica = cluster_node().await;
        self.meet(&replica).await;
        let leader = self.id_of(place).await;
        until_says(&replica, "CLUSTER", &["NODES"], &[&leader]).await;
        send(&replica.url(), "CLUSTER", &["REPLICATE", &leader]).await;
        until_says(
            &replica,
            "INFO",
            &["replication"],
            &["master_link_status:up"],
        )
        .await;
        for node in &self.nodes {
            until_says(node, "CLUSTER", &["INFO"], &["cluster_known_nodes:4"]).await;
            until_says(node, "CLUSTER", &["NODES"], &[&format!("slave {leader}")]).await;
        }
        self.nodes.push(replica);
    }

    async fn meet(&self, node: &PrivateRedis) {
        let first = &self.nodes[0];
        let said = send(&first.url(), "CONFIG", &["GET", "cluster-port"]).await;
        let (_key, bus): (String, String) = redis::from_redis_value(said).unwrap();
        let port = first.port().to_string();
        send(&node.url(), "CLUSTER", &["MEET", "127.0.0.1", &port, &bus]).await;
    }
}

async fn cluster_node() -> PrivateRedis {
    let settings = [
        "cluster-node-timeout 3000",
        "cluster-require-full-coverage no",
    ];
    private_redis_as(Role::ClusterNode, settings.map(str::to_owned).to_vec()).await
}

/// Waits until the answer to a command has all of these in it.
pub(crate) async fn until_says(node: &PrivateRedis, name: &str, arguments: &[&str], all: &[&str]) {
    wait_for(&format!("{all:?}"), || async {
        let said = ask(&node.url(), name, arguments).await;
        let missing = all.iter().find(|one| !said.contains(**one));
        missing.map_or(Ok(()), |_| Err(said))
    })
    .await;
}

/// A leader, its replica, and the Sentinel that watches them.
pub(crate) struct Watched {
    pub(crate) leader: PrivateRedis,
    pub(crate) replica: PrivateRedis,
    pub(crate) sentinel: PrivateRedis,
}

impl Watched {
    pub(crate) async fn start() -> Self {
        let leader = private_redis_as(Role::Server, Vec::new()).await;
        let of_leader = format!("replicaof 127.0.0.1 {}", leader.port());
        let replica = private_redis_as(Role::Server, vec![of_leader]).await;
        until_says(
            &replica,
            "INFO",
            &["replication"],
            &["master_link_status:up"],
        )
        .await;
        let watch = [
            format!("sentinel monitor stock 127.0.0.1 {} 1", leader.port()),
            "sentinel down-after-milliseconds stock 2000".to_owned(),
            "sentinel failover-timeout stock 2000".to_owned(),
        ];
        let sentinel = private_redis_as(Role::Sentinel, watch.to_vec()).await;
        let knows_replica = format!("slave0:ip=127.0.0.1,port={}", replica.port());
        until_says(&leader, "INFO", &["replication"], &[&knows_replica]).await;
        may_follow(&sentinel).await;
        Self {
            leader,
            replica,
            sentinel,
        }
    }

    /// By a Sentinel that is gone, and the one that is there.
    pub(crate) fn url(&self) -> String {
        let port = self.sentinel.port();
        format!("redis+sentinel://127.0.0.1:1,127.0.0.1:{port}/stock")
    }
}

/// Waits until the Sentinel has looked at the replica and would put it in the place of the leader.
async fn may_follow(sentinel: &PrivateRedis) {
    wait_for("the Sentinel to know the replica", || async {
        let said = send(&sentinel.url(), "SENTINEL", &["REPLICAS", "stock"]).await;
        let replicas: Vec<BTreeMap<String, String>> = redis::from_redis_value(said).unwrap();
        let is_good = |replica: &BTreeMap<String, String>| {
            replica["flags"] == "slave" && replica["master-link-status"] == "ok"
        };
        if replicas.iter().any(is_good) {
            Ok(())
        } else {
            Err(format!("{replicas:?}"))
        }
    })
    .await;
}

/// Waits until what the leader was told is at its replica, too.
pub(crate) async fn replicated(leader: &PrivateRedis, replica: &PrivateRedis) {
    let offset = |said: &str, key: &str| {
        let line = said.lines().find(|line| line.starts_with(key));
        line.and_then(|line| line.split(':').nth(1))
            .map(str::to_owned)
    };
    wait_for("replication", || async {
        let leads = ask(&leader.url(), "INFO", &["replication"]).await;
        let follows = ask(&replica.url(), "INFO", &["replication"]).await;
        let sent = offset(&leads, "master_repl_offset");
        let got = offset(&follows, "slave_repl_offset");
        if sent.is_some() && sent == got {
            Ok(())
        } else {
            Err(format!("{sent:?} {got:?}"))
        }
    })
    .await;
}
