//! The engines with two databases of the same content: the service's own, with one or more replicas of the service on
//! it, and a copy on which pgbench works.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use oms_engines::Engines;
use oms_inventory::Inventory;
use oms_service::{AnyProgram, Layers, Runtime, ServiceHandle};
use sqlx::PgConnection;
use tokio::time::Instant;

use super::callers::{ACTOR, Callers, Pick, Until};
use super::catalogue::{self, HOT};
use crate::bench::pgbench::Pgbench;
use crate::bench::store;

/// Reservations of each caller before anything is measured, so that no table is empty and the planner knows them all.
const HISTORY: u32 = 40;
/// Where no feed is served.
const NOBODY: &str = "http://127.0.0.1:1";
/// The relay has nothing left to do within this time.
const PATIENCE: Duration = Duration::from_secs(120);

/// See the module.
pub(super) struct Rig {
    engines: Arc<Engines>,
    /// Begins the names of the databases and the keys in Redis.
    name: String,
    replicas: Vec<ServiceHandle>,
    /// Runs on the copy.
    pub(super) floor: Pgbench,
    /// On the service's database.
    pub(super) conn: PgConnection,
    /// Reservations that callers were told they have.
    pub(super) acknowledged: u64,
}

impl Rig {
    /// Makes both databases and starts one replica. Databases that are left from a run before are dropped.
    pub(super) async fn start(
        engines: Arc<Engines>,
        name: &str,
        skus: u32,
        callers: u32,
    ) -> anyhow::Result<Self> {
        let (own, copy) = (format!("{name}_inventory"), format!("{name}_floor"));
        let mut server = store::connect(&engines.postgres_url()).await?;
        store::drop_database(&mut server, &own).await?;
        let made = {
            let (engines, own) = (Arc::clone(&engines), own.clone());
            tokio::task::spawn_blocking(move || engines.create_database(&own)).await??
        };
        Inventory
            .migrate(&layers(&engines, name))
            .await
            .context("cannot migrate inventory")?;
        let mut rig = Self {
            floor: Pgbench::of(&engines, engines.database_url(&copy))?,
            conn: store::connect(&made).await?,
            engines,
            name: name.to_owned(),
            replicas: Vec::new(),
            acknowledged: 0,
        };
        rig.scale(1).await?;
        rig.fill(skus, callers).await?;
        // A database that somebody is connected to cannot be copied.
        rig.scale(0).await?;
        rig.conn = store::connect(&rig.engines.postgres_url()).await?;
        store::copy_database(&mut rig.conn, &own, &copy).await?;
        rig.conn = store::connect(&made).await?;
        rig.scale(1).await?;
        Ok(rig)
    }

    async fn fill(&mut self, skus: u32, callers: u32) -> anyhow::Result<()> {
        catalogue::set_up(&self.url(0)?, skus).await?;
        let mut shop = self.callers(callers).await?;
        for pick in [Pick::One(HOT.to_owned()), Pick::Spread(skus)] {
            let tally = shop.buy(&pick, Until::Calls(HISTORY)).await?;
            self.acknowledged += tally.sold;
        }
        self.settle().await?;
        store::tidy_up(&mut self.conn).await?;
        let bytes = store::event_bytes(&mut self.conn).await?;
        self.floor.set("location", &catalogue::LOCATION);
        self.floor.set("actor", &ACTOR);
        self.floor
            .set("reservation_changed_bytes", &bytes.reservation_changed);
        self.floor.set("stock_changed_bytes", &bytes.stock_changed);
        Ok(())
    }

    /// Starts or stops replicas until there are so many.
    pub(super) async fn scale(&mut self, replicas: u32) -> anyhow::Result<()> {
        let wanted = usize::try_from(replicas)?;
        while self.replicas.len() < wanted {
            let runtime = Runtime {
                listener: Some(Arc::new(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?)),
                admin_listener: Some(Arc::new(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?)),
                ..Runtime::default()
            };
            let layers = layers(&self.engines, &self.name);
            self.replicas.push(
                Inventory
                    .start(&layers, runtime)
                    .await
                    .context("cannot start inventory")?,
            );
        }
        for replica in self.replicas.split_off(wanted) {
            replica.shutdown().await.context("inventory ended badly")?;
        }
        Ok(())
    }

    /// Callers with open connections, spread over all replicas.
    pub(super) async fn callers(&self, count: u32) -> anyhow::Result<Callers> {
        let urls: Vec<String> = self.replicas.iter().map(ServiceHandle::url).collect();
        Callers::connect(&urls, count).await
    }

    /// Address of a replica.
    pub(super) fn url(&self, replica: usize) -> anyhow::Result<String> {
        let replica = self.replicas.get(replica);
        Ok(replica.context("no such replica")?.url())
    }

    /// Address of the service's database.
    pub(super) fn database_url(&self) -> String {
        self.engines
            .database_url(&format!("{}_inventory", self.name))
    }

    /// Address of the copy.
    #[cfg(test)]
    pub(super) fn floor_url(&self) -> String {
        self.engines.database_url(&format!("{}_floor", self.name))
    }

    /// Waits until the relay has nothing left to do, so that the work of one measurement is not done during the next;
    /// answers how many events it was behind.
    pub(super) async fn settle(&mut self) -> anyhow::Result<i64> {
        let behind = store::waiting_events(&mut self.conn).await?;
        let (mut waiting, until) = (behind, Instant::now() + PATIENCE);
        while waiting > 0 {
            anyhow::ensure!(
                Instant::now() < until,
                "{waiting} events still wait for the relay"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
            waiting = store::waiting_events(&mut self.conn).await?;
        }
        Ok(behind)
    }

    /// Stops the replicas and drops the databases.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        self.scale(0).await?;
        let mut server = store::connect(&self.engines.postgres_url()).await?;
        for database in ["inventory", "floor"] {
            store::drop_database(&mut server, &format!("{}_{database}", self.name)).await?;
        }
        Ok(())
    }
}

/// The configuration that `oms up` gives the service, but for its name in Postgres and Redis and the feeds it follows:
/// nobody listens there, so it tries now and then and has nothing to read.
fn layers(engines: &Engines, name: &str) -> Layers {
    let database = engines.database_url(&format!("{name}_inventory"));
    Layers::of_text(format!(
        "insecure_dev = true\n\
         [database]\nurl = {database:?}\n\
         [lease]\nredis_url = {:?}\nkey_prefix = \"{name}:\"\n\
         [peers.shipping]\nurl = \"{NOBODY}\"\n\
         [peers.returns]\nurl = \"{NOBODY}\"\n",
        engines.redis_url(),
    ))
}
