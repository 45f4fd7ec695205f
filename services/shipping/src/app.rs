//! The composition root: configuration and dependencies to gRPC services and background work.

use std::sync::Arc;
use std::time::Duration;

use oms_postgres::{RunnerConfig, TaskRunner};
use oms_proto::shipping::v1::rate_service_server::RateServiceServer;
use oms_proto::shipping::v1::shipment_service_server::ShipmentServiceServer;
use oms_proto::shipping::v1::tracking_service_server::TrackingServiceServer;
use oms_service::{Common, ConfigError, Program, Setup};
use sqlx::migrate::Migrator;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::api::{RateApi, ShipmentApi, TrackingApi, carrier_webhooks};
use crate::carriers::{Carriers, TableRate};
use crate::clients::{InventoryClient, OrderClient};
use crate::commands::Context;
use crate::commands::settle_effect::{describe_metrics, reconcile_due, tell_open};
use crate::config::{self, Config};
use crate::consumers;

static MIGRATOR: Migrator = sqlx::migrate!();

/// The shipping service as a program.
#[derive(Debug, Clone, Copy)]
pub struct Shipping;

impl Program for Shipping {
    type Config = Config;

    const NAME: &'static str = "shipping";
    const DEFAULTS: &'static str = config::DEFAULTS;

    fn migrations() -> &'static Migrator {
        &MIGRATOR
    }

    fn common(config: &Config) -> &Common {
        &config.common
    }

    fn check(config: &Config) -> Result<(), String> {
        config.carriers.check()
    }

    fn check_serving(config: &Config) -> Result<(), String> {
        let secrets = config.carriers.table_rate.secrets();
        secrets
            .map(|_| ())
            .map_err(|error| format!("carriers.table_rate.{error}"))
    }

    async fn build(config: Config, setup: &mut Setup) -> anyhow::Result<()> {
        describe_metrics();
        carrier_webhooks::describe_metrics();
        let ctx = Arc::new(Context {
            db: setup.db.clone(),
            clock: Arc::clone(&setup.clock),
            ids: Arc::clone(&setup.ids),
            carriers: carriers(&config, setup)?,
            orders: OrderClient::new(setup.peer("order")?),
            inventory: InventoryClient::new(setup.peer("inventory")?),
        });
        setup.serve(ShipmentServiceServer::new(ShipmentApi::new(Arc::clone(
            &ctx,
        ))));
        setup.serve(RateServiceServer::new(RateApi::new(Arc::clone(&ctx))));
        setup.serve(TrackingServiceServer::new(TrackingApi::new(Arc::clone(
            &ctx,
        ))));
        setup.serve_http(carrier_webhooks::router(Arc::clone(&ctx)));
        consume(&ctx, setup)?;
        let runner = TaskRunner::new(
            ctx.db.clone(),
            Arc::clone(&ctx),
            ctx.ids.next(),
            RunnerConfig::default(),
        )
        .handle(consumers::CREATE_TASK, consumers::create_task)
        .handle(consumers::CANCEL_TASK, consumers::cancel_task);
        setup.background("tasks", |cancel| runner.spawn(cancel));
        let every = Duration::from_millis(config.carriers.reconcile_ms);
        setup.background("reconciler", |cancel| {
            tokio::spawn(reconcile(ctx, every, cancel))
        });
        Ok(())
    }
}

fn carriers(config: &Config, setup: &Setup) -> Result<Carriers, ConfigError> {
    let wrong = |error| ConfigError::Invalid(format!("carriers.table_rate.{error}"));
    let secrets = config.carriers.table_rate.secrets().map_err(wrong)?;
    let table_rate = TableRate::new(setup.db.clone(), secrets);
    Ok(Carriers::new(vec![Arc::new(table_rate)]))
}

fn consume(ctx: &Arc<Context>, setup: &mut Setup) -> anyhow::Result<()> {
    let ctx = Arc::clone(ctx);
    let packed = setup
        .consumer("fulfillment")?
        .types(consumers::TYPES)
        .apply(move |conn, event| {
            let ctx = Arc::clone(&ctx);
            Box::pin(async move { consumers::on_fulfillment_event(&ctx, conn, event).await })
        });
    setup.background("fulfillment feed", |cancel| packed.spawn(cancel));
    Ok(())
}

/// Looks through the open effects until it is told to end.
async fn reconcile(ctx: Arc<Context>, every: Duration, cancel: CancellationToken) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            _ = ticks.tick() => {}
        }
        if let Err(error) = reconcile_due(&ctx).await {
            tracing::warn!(%error, "open effects could not be looked through");
        }
        if let Err(error) = tell_open(&ctx).await {
            tracing::debug!(%error, "open effects could not be counted");
        }
    }
}
