//! The composition root: configuration and dependencies to gRPC services and background work.

use std::sync::Arc;

use anyhow::Context;
use oms_lock::{GenerationError, LeaseConfig, Leases};
use oms_postgres::Db;
use oms_proto::inventory::v1::correction_service_server::CorrectionServiceServer;
use oms_proto::inventory::v1::item_service_server::ItemServiceServer;
use oms_proto::inventory::v1::location_service_server::LocationServiceServer;
use oms_proto::inventory::v1::reservation_service_server::ReservationServiceServer;
use oms_proto::inventory::v1::stock_policy_service_server::StockPolicyServiceServer;
use oms_proto::inventory::v1::stock_service_server::StockServiceServer;
use oms_proto::inventory::v1::supply_service_server::SupplyServiceServer;
use oms_service::{Common, Program, Setup};
use sqlx::migrate::Migrator;

use crate::api::Api;
use crate::config::Config;
use crate::ctx::Ctx;
use crate::lanes::{self, Lanes};
use crate::queries::Watchers;
use crate::store::known_kits::KnownKits;
use crate::store::known_locations::KnownLocations;
use crate::{consumers, store, tasks};

/// The migrations of the service.
pub static MIGRATOR: Migrator = sqlx::migrate!();

/// The inventory service as a program.
#[derive(Debug, Clone, Copy)]
pub struct Inventory;

impl Program for Inventory {
    type Config = Config;
    const NAME: &'static str = "inventory";
    const DEFAULTS: &'static str = include_str!("defaults.toml");

    fn migrations() -> &'static Migrator {
        &MIGRATOR
    }

    fn common(config: &Config) -> &Common {
        &config.common
    }

    fn check(config: &Config) -> Result<(), String> {
        config.check()
    }

    fn check_serving(config: &Config) -> Result<(), String> {
        let lease = config.lease();
        lease
            .map_or(Ok(()), |lease| lease.check_files())
            .map_err(|cause| format!("lease.redis_ca_file: {cause}"))
    }

    async fn build(config: Config, setup: &mut Setup) -> anyhow::Result<()> {
        lanes::describe_metrics();
        oms_lock::describe_metrics();
        tasks::describe_metrics();
        let leases = config
            .lease()
            .map(|lease| leases(lease, setup))
            .transpose()?;
        let lanes = Lanes::new(
            setup.db.clone(),
            Arc::clone(&setup.clock),
            Arc::clone(&setup.ids),
            config.lanes(),
            leases,
        );
        let ctx = Arc::new(Ctx {
            db: setup.db.clone(),
            clock: Arc::clone(&setup.clock),
            ids: Arc::clone(&setup.ids),
            lanes: lanes.clone(),
            locations: KnownLocations::default(),
            verified_skus_max: config.ledger.page_skus,
            kits: KnownKits::default(),
        });

        let watchers = Watchers::new(setup.db.clone());
        let api = Api::new(Arc::clone(&ctx), watchers.clone());
        setup.serve(ItemServiceServer::new(api.clone()));
        setup.serve(LocationServiceServer::new(api.clone()));
        setup.serve(StockServiceServer::new(api.clone()));
        setup.serve(CorrectionServiceServer::new(api.clone()));
        setup.serve(StockPolicyServiceServer::new(api.clone()));
        setup.serve(SupplyServiceServer::new(api.clone()));
        setup.serve(ReservationServiceServer::new(api));

        setup.background("lanes", |cancel| lanes.spawn(cancel));
        setup.background("availability watch", |cancel| watchers.spawn(cancel));
        let verifications = tasks::Verifications {
            db: setup.db.clone(),
            clock: Arc::clone(&setup.clock),
            interval: config.verify_interval(),
        };
        setup.background("verification of the ledger", |cancel| {
            verifications.spawn(cancel)
        });
        let runner = tasks::runner(ctx, setup.ids.next());
        setup.background("tasks", |cancel| runner.spawn(cancel));
        let shipping = consumers::shipping(setup.consumer("shipping")?, Arc::clone(&setup.clock));
        setup.background("shipping feed", |cancel| shipping.spawn(cancel));
        let returns = consumers::returns(setup.consumer("returns")?, Arc::clone(&setup.clock));
        setup.background("returns feed", |cancel| returns.spawn(cancel));
        Ok(())
    }
}

/// Asks Redis as a holder of its own: a restarted process is another one.
fn leases(config: LeaseConfig, setup: &Setup) -> anyhow::Result<Leases> {
    let db = setup.db.clone();
    let next = move || next_generation(db.clone());
    Leases::new(config, setup.ids.next(), next).context("lease")
}

async fn next_generation(db: Db) -> Result<i64, GenerationError> {
    let mut conn = db.read().await?;
    Ok(store::lanes::next_generation(&mut conn).await?)
}
