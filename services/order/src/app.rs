//! How the service is put together.

use std::sync::Arc;
use std::time::Duration;

use oms_postgres::{RunnerConfig, TaskRunner};
use oms_proto::order::v1::channel_service_server::ChannelServiceServer;
use oms_proto::order::v1::credit_service_server::CreditServiceServer;
use oms_proto::order::v1::exception_service_server::ExceptionServiceServer;
use oms_proto::order::v1::hold_service_server::HoldServiceServer;
use oms_proto::order::v1::invoice_service_server::InvoiceServiceServer;
use oms_proto::order::v1::order_service_server::OrderServiceServer;
use oms_proto::order::v1::payment_service_server::PaymentServiceServer;
use oms_proto::order::v1::privacy_service_server::PrivacyServiceServer;
use oms_proto::order::v1::webhook_service_server::WebhookServiceServer;
use oms_service::{Common, ConfigError, Program, Setup};
use sqlx::migrate::Migrator;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::Api;
use crate::clients::{FulfillmentClient, InventoryClient};
use crate::commands::cancel_order::RUN_CANCELLATION_TASK;
use crate::commands::place_hold::RELEASE_HOLD_TASK;
use crate::commands::record_reservation::RECALL_DISPLACED_TASK;
use crate::commands::record_shipment::ISSUE_INVOICE_TASK;
use crate::commands::record_short::BACKORDER_SHORT_TASK;
use crate::commands::refund_payment::REFUND_PAYMENT_TASK;
use crate::commands::settle_order::{REFUND_CANCELLATION_TASK, VOID_PAYMENT_TASK};
use crate::commands::trigger_refund::REFUND_RETURN_TASK;
use crate::config::{self, Config, PaymentsConfig};
use crate::consumers::Source;
use crate::ctx::Ctx;
use crate::domain::capture::CAPTURE_PAYMENT_TASK;
use crate::domain::credit::Book;
use crate::payments::cash_on_delivery::CashOnDelivery;
use crate::payments::credit::CreditBook;
use crate::payments::reconciler;
use crate::payments::renewal::RENEW_AUTHORIZATION_TASK;
use crate::payments::sandbox::Sandbox;
use crate::payments::stripe::Stripe;
use crate::payments::webhooks as provider_webhooks;
use crate::payments::{Provider, Providers};
use crate::privacy::keeper;
use crate::saga::driver;
use crate::tasks;
use crate::webhooks::{Webhooks, deliver, fan_out, keeper as secret_keeper};

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

    fn check_serving(config: &Config) -> Result<(), String> {
        config.privacy.masters(config.common.insecure_dev)?;
        let payments = &config.payments;
        let stripe = Stripe::new(&payments.stripe, patience(payments));
        stripe.map(|_| ()).map_err(|error| format!("{error:#}"))
    }

    async fn build(config: Config, setup: &mut Setup) -> anyhow::Result<()> {
        tasks::gauges::describe_metrics();
        let ctx = Arc::new(context(config, setup)?);
        serve(&ctx, setup);
        work(&ctx, setup);
        push(&ctx, setup);
        consume(&ctx, setup)?;
        Ok(())
    }
}

fn context(config: Config, setup: &Setup) -> anyhow::Result<Ctx> {
    let masters = config.privacy.masters(config.common.insecure_dev);
    Ok(Ctx {
        masters: masters.map_err(ConfigError::Invalid)?,
        db: setup.db.clone(),
        clock: Arc::clone(&setup.clock),
        ids: Arc::clone(&setup.ids),
        inventory: InventoryClient::new(setup.peer("inventory")?),
        fulfillment: FulfillmentClient::new(setup.peer("fulfillment")?),
        providers: providers(&config, setup)?,
        webhooks: Webhooks::new(&config.webhooks, config.common.insecure_dev)?,
        background: TaskTracker::new(),
        draining: setup.draining(),
        saga_abort: CancellationToken::new(),
        saga_wakes: Notify::new(),
        config,
    })
}

/// The payment providers that have an address or a key, and those whose books are here.
fn providers(config: &Config, setup: &Setup) -> anyhow::Result<Providers> {
    let payments = &config.payments;
    let patience = patience(payments);
    let credits = |book| CreditBook::new(book, setup.db.clone(), Arc::clone(&setup.clock));
    let mut all: Vec<Arc<dyn Provider>> = vec![
        Arc::new(credits(Book::Terms)),
        Arc::new(credits(Book::StoreCredit)),
        Arc::new(CashOnDelivery),
    ];
    if !payments.sandbox.url.is_empty() {
        all.push(Arc::new(Sandbox::new(&payments.sandbox, patience)));
    }
    if let Some(stripe) = Stripe::new(&payments.stripe, patience)? {
        all.push(Arc::new(stripe));
    }
    Ok(Providers::new(all, payments))
}

/// How long a provider may take.
fn patience(payments: &PaymentsConfig) -> Duration {
    Duration::from_millis(payments.timeout_ms)
}

fn serve(ctx: &Arc<Ctx>, setup: &mut Setup) {
    let api = Api::new(Arc::clone(ctx));
    setup.serve(OrderServiceServer::new(api.clone()));
    setup.serve(HoldServiceServer::new(api.clone()));
    setup.serve(ChannelServiceServer::new(api.clone()));
    setup.serve(PaymentServiceServer::new(api.clone()));
    setup.serve(CreditServiceServer::new(api.clone()));
    setup.serve(InvoiceServiceServer::new(api.clone()));
    setup.serve(PrivacyServiceServer::new(api.clone()));
    setup.serve(ExceptionServiceServer::new(api.clone()));
    setup.serve(WebhookServiceServer::new(api));
    setup.serve_http(provider_webhooks::router(Arc::clone(ctx)));
}

fn work(ctx: &Arc<Ctx>, setup: &mut Setup) {
    let config = RunnerConfig {
        concurrency: ctx.config.tasks.concurrency,
        ..RunnerConfig::default()
    };
    let runner = TaskRunner::new(setup.db.clone(), Arc::clone(ctx), ctx.id(), config)
        .handle(RELEASE_HOLD_TASK, tasks::release_hold::run)
        .handle(CAPTURE_PAYMENT_TASK, tasks::capture_payment::run)
        .handle(VOID_PAYMENT_TASK, tasks::void_payment::run)
        .handle(ISSUE_INVOICE_TASK, tasks::issue_invoice::run)
        .handle(REFUND_RETURN_TASK, tasks::refund_return::run)
        .handle(REFUND_PAYMENT_TASK, tasks::refund_payment::run)
        .handle(REFUND_CANCELLATION_TASK, tasks::refund_cancellation::run)
        .handle(BACKORDER_SHORT_TASK, tasks::backorder_short::run)
        .handle(RECALL_DISPLACED_TASK, tasks::recall_displaced::run)
        .handle(
            tasks::call_back_units::CALL_BACK_UNITS_TASK,
            tasks::call_back_units::run,
        )
        .handle(RENEW_AUTHORIZATION_TASK, tasks::renew_authorization::run)
        .handle(RUN_CANCELLATION_TASK, tasks::run_cancellation::run);
    setup.background("tasks", |cancel| runner.spawn(cancel));

    let sagas = Arc::clone(ctx);
    setup.background("sagas", |cancel| driver::spawn(sagas, cancel));

    let open = Arc::clone(ctx);
    setup.background("gauges", |cancel| {
        tokio::spawn(tasks::gauges::run(open, cancel))
    });

    let payments = Arc::clone(ctx);
    let pause = Duration::from_millis(ctx.config.payments.reconcile_poll_ms);
    setup.background("payment reconciler", |cancel| {
        tokio::spawn(async move { reconciler::run(&payments, pause, &cancel).await })
    });

    tasks::watch_stages::describe_metrics();
    let stages = Arc::clone(ctx);
    let pause = Duration::from_millis(ctx.config.deadlines.gauges_ms);
    setup.background("stages", |cancel| {
        tokio::spawn(async move { tasks::watch_stages::run(&stages, pause, &cancel).await })
    });

    let privacy = Arc::clone(ctx);
    let pause = Duration::from_millis(ctx.config.privacy.keeper_poll_ms);
    setup.background("privacy", |cancel| {
        tokio::spawn(async move { keeper::run(&privacy, pause, &cancel).await })
    });
}

/// Pushes the service's own feed to endpoints outside.
fn push(ctx: &Arc<Ctx>, setup: &mut Setup) {
    let own = Arc::clone(ctx);
    setup.background("webhook feed", |cancel| {
        tokio::spawn(async move { fan_out::run(&own, &cancel).await })
    });
    let own = Arc::clone(ctx);
    let pause = Duration::from_millis(ctx.config.privacy.keeper_poll_ms);
    setup.background("webhook secrets", |cancel| {
        tokio::spawn(async move { secret_keeper::run(&own, pause, &cancel).await })
    });
    let own = Arc::clone(ctx);
    deliver::describe_metrics();
    setup.background("webhooks", |cancel| deliver::spawn(own, cancel));
}

/// Follows the feeds of the four peers.
fn consume(ctx: &Arc<Ctx>, setup: &mut Setup) -> anyhow::Result<()> {
    for source in Source::ALL {
        let consumer = setup.consumer(source.name())?;
        let consumer = source.consume(Arc::clone(ctx), consumer);
        setup.background(source.feed(), |cancel| consumer.spawn(cancel));
    }
    Ok(())
}
