//! The composition root: configuration and dependencies to gRPC services and background work.

use std::sync::Arc;

use oms_postgres::{RunnerConfig, TaskRunner};
use oms_proto::fulfillment::v1::document_service_server::DocumentServiceServer;
use oms_proto::fulfillment::v1::fulfillment_order_service_server::FulfillmentOrderServiceServer;
use oms_proto::fulfillment::v1::packing_service_server::PackingServiceServer;
use oms_proto::fulfillment::v1::picking_service_server::PickingServiceServer;
use oms_proto::fulfillment::v1::sourcing_service_server::SourcingServiceServer;
use oms_proto::fulfillment::v1::wave_service_server::WaveServiceServer;
use oms_service::{Common, Program, Setup};
use sqlx::migrate::Migrator;

use crate::api::Api;
use crate::clients::inventory::Inventory;
use crate::clients::order::Orders;
use crate::config::{self, Config};
use crate::consumers;
use crate::ctx::Ctx;
use crate::domain::short::RESOLVE_SHORT;
use crate::tasks;

static MIGRATOR: Migrator = sqlx::migrate!();

/// The fulfillment service as a program.
#[derive(Debug, Clone, Copy)]
pub struct Fulfillment;

impl Program for Fulfillment {
    type Config = Config;

    const NAME: &'static str = "fulfillment";
    const DEFAULTS: &'static str = config::DEFAULTS;

    fn migrations() -> &'static Migrator {
        &MIGRATOR
    }

    fn common(config: &Config) -> &Common {
        &config.common
    }

    fn check(config: &Config) -> Result<(), String> {
        config.sourcing.check()
    }

    async fn build(config: Config, setup: &mut Setup) -> anyhow::Result<()> {
        let inventory = Inventory::new(setup.peer("inventory")?, config.sourcing.locations_ttl());
        let ctx = Arc::new(Ctx {
            db: setup.db.clone(),
            clock: Arc::clone(&setup.clock),
            ids: Arc::clone(&setup.ids),
            inventory,
            orders: Orders::new(setup.peer("order")?),
            rules: config.sourcing.rules(),
        });
        serve(&ctx, setup);

        let holder = ctx.ids.next();
        let runner = TaskRunner::new(
            ctx.db.clone(),
            Arc::clone(&ctx),
            holder,
            RunnerConfig::default(),
        )
        .handle(RESOLVE_SHORT, tasks::resolve_short::resolve_short);
        setup.background("tasks", |cancel| runner.spawn(cancel));

        let shipments = setup
            .consumer("shipping")?
            .types(consumers::SHIPPING_TYPES)
            .apply(move |conn, event| {
                let ctx = Arc::clone(&ctx);
                Box::pin(async move { consumers::on_shipping_event(&ctx, conn, event).await })
            });
        setup.background("shipping feed", |cancel| shipments.spawn(cancel));
        Ok(())
    }
}

fn serve(ctx: &Arc<Ctx>, setup: &mut Setup) {
    let api = Api::new(Arc::clone(ctx));
    setup.serve(SourcingServiceServer::new(api.clone()));
    setup.serve(FulfillmentOrderServiceServer::new(api.clone()));
    setup.serve(WaveServiceServer::new(api.clone()));
    setup.serve(PickingServiceServer::new(api.clone()));
    setup.serve(PackingServiceServer::new(api.clone()));
    setup.serve(DocumentServiceServer::new(api));
}
