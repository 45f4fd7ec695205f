//! How the service is put together.

use std::sync::Arc;
use std::time::Duration;

use oms_postgres::{RunnerConfig, TaskRunner};
use oms_proto::order::v1::channel_service_server::ChannelServiceServer;
use oms_proto::order::v1::hold_service_server::HoldServiceServer;
use oms_proto::order::v1::order_service_server::OrderServiceServer;
use oms_service::{Common, Program, Setup};
use sqlx::migrate::Migrator;
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use crate::api::Api;
use crate::clients::{FulfillmentClient, InventoryClient};
use crate::commands::place_hold::RELEASE_HOLD_TASK;
use crate::config::{self, Config};
use crate::ctx::Ctx;
use crate::payments::Providers;
use crate::payments::reconciler;
use crate::payments::sandbox::Sandbox;
use crate::saga::driver;
use crate::tasks;

/// The service's migrations.
pub static MIGRATOR: Migrator = sqlx::migrate!();

/// The order service as a program.
#[derive(Debug, Clone, Copy)]
pub struct Order;

impl Program for Order {
    type Config = Config;
    const NAME: &'static str = "order";
    const DEFAULTS: &'static str = config::DEFAULTS;

    fn migrations() -> &'static Migrator {
        &MIGRATOR
    }

    fn common(config: &Config) -> &Common {
        &config.common
    }

    fn check(config: &Config) -> Result<(), String> {
        config.check()
    }

    async fn build(config: Config, setup: &mut Setup) -> anyhow::Result<()> {
        let ctx = Arc::new(context(config, setup)?);
        serve(&ctx, setup);
        work(&ctx, setup);
        Ok(())
    }
}

fn context(config: Config, setup: &Setup) -> anyhow::Result<Ctx> {
    let sandbox = Sandbox::new(setup.db.clone(), Arc::clone(&setup.clock));
    Ok(Ctx {
        db: setup.db.clone(),
        clock: Arc::clone(&setup.clock),
        ids: Arc::clone(&setup.ids),
        inventory: InventoryClient::new(setup.peer("inventory")?),
        fulfillment: FulfillmentClient::new(setup.peer("fulfillment")?),
        providers: Providers::new(vec![Arc::new(sandbox)]),
        background: TaskTracker::new(),
        draining: setup.draining(),
        saga_wakes: Notify::new(),
        config,
    })
}

fn serve(ctx: &Arc<Ctx>, setup: &mut Setup) {
    let api = Api::new(Arc::clone(ctx));
    setup.serve(OrderServiceServer::new(api.clone()));
    setup.serve(HoldServiceServer::new(api.clone()));
    setup.serve(ChannelServiceServer::new(api));
}

fn work(ctx: &Arc<Ctx>, setup: &mut Setup) {
    let config = RunnerConfig {
        concurrency: ctx.config.tasks.concurrency,
        ..RunnerConfig::default()
    };
    let runner = TaskRunner::new(setup.db.clone(), Arc::clone(ctx), ctx.id(), config)
        .handle(RELEASE_HOLD_TASK, tasks::release_hold::run);
    setup.background("tasks", |cancel| runner.spawn(cancel));

    let sagas = Arc::clone(ctx);
    setup.background("sagas", |cancel| driver::spawn(sagas, cancel));

    let payments = Arc::clone(ctx);
    let pause = Duration::from_millis(ctx.config.payments.reconcile_poll_ms);
    setup.background("payment reconciler", |cancel| {
        tokio::spawn(async move { reconciler::run(&payments, pause, &cancel).await })
    });
}
