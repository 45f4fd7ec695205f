//! The database of an order service, and a copy on which pgbench works.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;

use anyhow::Context;
use oms_engines::Engines;
use oms_order::Order;
use oms_service::{AnyProgram, Layers, Runtime, ServiceHandle};

use crate::bench::store;

/// Where no feed is served.
const NOBODY: &str = "http://127.0.0.1:1";

/// See the module.
pub(super) struct Rig {
    pub(super) engines: Arc<Engines>,
    own: String,
    copy: String,
    /// Address of the service's database.
    pub(super) url: String,
    /// Address of the copy.
    pub(super) floor_url: String,
}

impl Rig {
    /// Makes both databases. Those that are left from a run before are dropped.
    pub(super) async fn start(engines: Arc<Engines>, name: &str) -> anyhow::Result<Self> {
        let (own, copy) = (format!("{name}_order"), format!("{name}_feed_floor"));
        let mut server = store::connect(&engines.postgres_url()).await?;
        store::drop_database(&mut server, &own).await?;
        let url = {
            let (engines, own) = (Arc::clone(&engines), own.clone());
            tokio::task::spawn_blocking(move || engines.create_database(&own)).await??
        };
        let migrated = Order.migrate(&layers(&url)).await;
        migrated.context("cannot migrate order")?;
        store::copy_database(&mut server, &own, &copy).await?;
        let floor_url = engines.database_url(&copy);
        // The relay makes partitions of the feed as it goes; pgbench does not.
        let mut floor = store::connect(&floor_url).await?;
        store::add_partition(&mut floor).await?;
        Ok(Self {
            engines,
            own,
            copy,
            url,
            floor_url,
        })
    }

    /// Starts the service, with its relay and its feed, as `oms up` does; the services that it calls are not there.
    pub(super) async fn serve(&self) -> anyhow::Result<ServiceHandle> {
        let runtime = Runtime {
            listener: Some(Arc::new(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?)),
            admin_listener: Some(Arc::new(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?)),
            ..Runtime::default()
        };
        let started = Order.start(&layers(&self.url), runtime).await;
        started.context("cannot start order")
    }

    /// Drops the databases.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        let mut server = store::connect(&self.engines.postgres_url()).await?;
        store::drop_database(&mut server, &self.own).await?;
        store::drop_database(&mut server, &self.copy).await
    }
}

fn layers(database: &str) -> Layers {
    let mut text = format!("insecure_dev = true\n[database]\nurl = {database:?}\n");
    for peer in ["inventory", "fulfillment", "shipping", "returns"] {
        text += &format!("[peers.{peer}]\nurl = \"{NOBODY}\"\n");
    }
    Layers::of_text(text)
}
