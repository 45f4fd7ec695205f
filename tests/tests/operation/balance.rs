//! Calls by one client over three replicas of inventory, which it finds by a name.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, ensure};
use async_trait::async_trait;
use futures::future::try_join_all;
use oms_proto::inventory::v1::ListItemsRequest;
use oms_proto::inventory::v1::item_service_client::ItemServiceClient;
use oms_service::client::{self, Resolve};
use oms_service::{PeerChannel, PeerConfig};
use oms_tests::replicas::Replicas;
use oms_tests::suite::{engines, wait_for};

use crate::NODE;

/// Callers at the same time.
const CALLERS: usize = 4;
/// Calls of all callers together between two looks at who served them.
const CALLS: usize = 600;

/// A name server that knows one name.
#[derive(Debug, Default)]
struct Names(Mutex<Vec<SocketAddr>>);

impl Names {
    fn say(&self, ports: impl IntoIterator<Item = u16>) {
        let addrs = ports
            .into_iter()
            .map(|port| (Ipv4Addr::LOCALHOST, port).into());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = addrs.collect();
    }
}

#[async_trait]
impl Resolve for Names {
    async fn resolve(&self, host: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
        assert_eq!(host, "oms-inventory");
        Ok(self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone())
    }
}

async fn call(channel: &PeerChannel) -> anyhow::Result<()> {
    let mut items = ItemServiceClient::new(channel.clone());
    items.list_items(ListItemsRequest::default()).await?;
    Ok(())
}

/// So many calls by all callers; none may fail.
async fn calls(channel: &PeerChannel, count: usize) -> anyhow::Result<()> {
    let callers = (0..CALLERS).map(|_| async {
        for _ in 0..count / CALLERS {
            call(channel).await?;
        }
        anyhow::Ok(())
    });
    try_join_all(callers).await?;
    Ok(())
}

/// Calls by all callers until something has happened to the replicas; none may fail. The change begins when calls are under way.
async fn calls_while(
    channel: &PeerChannel,
    change: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let (over, made) = (AtomicBool::new(false), AtomicUsize::new(0));
    let callers = try_join_all((0..CALLERS).map(|_| async {
        while !over.load(Ordering::Relaxed) {
            call(channel).await?;
            made.fetch_add(1, Ordering::Relaxed);
        }
        anyhow::Ok(())
    }));
    let change = async {
        let more = async |from: usize| {
            wait_for("calls", || async {
                let now = made.load(Ordering::Relaxed);
                Ok(if now >= from + 10 * CALLERS {
                    Ok(())
                } else {
                    Err(now.to_string())
                })
            })
            .await
        };
        more(0).await?;
        let changed = change.await;
        // And some more after it.
        let more = more(made.load(Ordering::Relaxed)).await;
        over.store(true, Ordering::Relaxed);
        changed.and(more)
    };
    futures::try_join!(callers, change)?;
    Ok(())
}

async fn served(replicas: &Replicas, number: usize) -> anyhow::Result<f64> {
    let metrics = replicas.get(number)?.metrics().await?;
    let name = "oms_rpc_server_duration_seconds_count{service=\"inventory\",method=\"ItemService/ListItems\",code=\"OK\"}";
    Ok(metrics.get(name).copied().unwrap_or_default())
}

/// Calls, of which each of these replicas serves its share within a tenth.
async fn calls_spread(
    channel: &PeerChannel,
    replicas: &Replicas,
    over: &[usize],
) -> anyhow::Result<()> {
    let mut before = Vec::new();
    for number in over {
        before.push(served(replicas, *number).await?);
    }
    calls(channel, CALLS).await?;
    let share = f64::from(u32::try_from(CALLS / over.len())?);
    for (number, before) in over.iter().zip(before) {
        let own = served(replicas, *number).await? - before;
        ensure!(
            (own - share).abs() <= share / 10.0,
            "replica {number} served {own} calls of {CALLS}, its share is {share}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_spread_over_replicas_that_die_come_and_end_and_none_fails() -> anyhow::Result<()> {
    // The last one is there, but has no name yet.
    let mut replicas = Replicas::start(NODE, 4, engines()?).await?;
    let ports: Vec<u16> = (0..4)
        .map(|number| anyhow::Ok(replicas.get(number)?.port))
        .collect::<Result<_, _>>()?;
    let names = Arc::new(Names::default());
    names.say(ports[..3].to_vec());
    let config = PeerConfig {
        resolve_ms: 50,
        ..PeerConfig::new("http://oms-inventory:7002")
    };
    let resolver: Arc<dyn Resolve> = names.clone();
    let channel = client::connect_by(resolver, "inventory", &config, "order")?;

    calls_spread(&channel, &replicas, &[0, 1, 2]).await?;

    // Killed, and the name server tells of it later.
    calls_while(&channel, async { replicas.kill(0) })
        .await
        .context("one is killed")?;
    names.say(ports[1..3].to_vec());
    calls_while(&channel, async { Ok(()) }).await?;

    names.say(ports[1..4].to_vec());
    let comes = async {
        wait_for("the new replica to be called", || async {
            let own = served(&replicas, 3).await?;
            Ok(if own > 0.0 {
                Ok(())
            } else {
                Err("it is not".to_owned())
            })
        })
        .await
    };
    calls_while(&channel, comes).await.context("one comes")?;
    calls_spread(&channel, &replicas, &[1, 2, 3]).await?;

    let ends = async {
        let code = replicas.end(1).await?;
        ensure!(code == Some(0), "it ended with {code:?}");
        Ok(())
    };
    calls_while(&channel, ends)
        .await
        .context("one is asked to end")
}
