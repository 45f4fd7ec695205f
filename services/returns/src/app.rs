//! The composition root: configuration and dependencies to gRPC services and background work.

use oms_core::{Principal, ReturnId};
use oms_postgres::{Outcome, RunnerConfig, Task, TaskError, TaskRunner};
use oms_proto::returns::v1::return_service_server::ReturnServiceServer;
use oms_service::{Common, PeerError, Program, Setup};
use sqlx::migrate::Migrator;
use tonic::Code;

use crate::api::ReturnApi;
use crate::clients::{OrderClient, ShippingClient};
use crate::commands;
use crate::config::{self, Config};
use crate::consumers;
use crate::ctx::Ctx;
use crate::error::Error;

static MIGRATOR: Migrator = sqlx::migrate!();

/// The returns service as a program.
#[derive(Debug, Clone, Copy)]
pub struct Returns;

impl Program for Returns {
    type Config = Config;

    const NAME: &'static str = "returns";
    const DEFAULTS: &'static str = config::DEFAULTS;

    fn migrations() -> &'static Migrator {
        &MIGRATOR
    }

    fn common(config: &Config) -> &Common {
        &config.common
    }

    fn check(config: &Config) -> Result<(), String> {
        config.policy.check()
    }

    async fn build(config: Config, setup: &mut Setup) -> anyhow::Result<()> {
        let ctx = Ctx {
            db: setup.db.clone(),
            clock: setup.clock.clone(),
            ids: setup.ids.clone(),
            order: OrderClient::new(setup.peer("order")?),
            shipping: ShippingClient::new(setup.peer("shipping")?),
            policy: config.policy,
        };
        setup.serve(ReturnServiceServer::new(ReturnApi::new(ctx.clone())));
        consume(&ctx, setup)?;
        let runner = TaskRunner::new(
            ctx.db.clone(),
            ctx.clone().into(),
            ctx.ids.next(),
            RunnerConfig::default(),
        )
        .handle(commands::ISSUE_LABEL_TASK, issue_return_label);
        setup.background("tasks", |cancel| runner.spawn(cancel));
        Ok(())
    }
}

fn consume(ctx: &Ctx, setup: &mut Setup) -> anyhow::Result<()> {
    let own = ctx.clone();
    let orders = setup
        .consumer("order")?
        .types(&["ReturnRefunded"])
        .apply(move |conn, event| {
            let ctx = own.clone();
            Box::pin(async move { consumers::on_order_event(&ctx, conn, event).await })
        });
    setup.background("order feed", |cancel| orders.spawn(cancel));
    let own = ctx.clone();
    let shipments = setup
        .consumer("shipping")?
        .types(&["PackageTracked"])
        .apply(move |conn, event| {
            let ctx = own.clone();
            Box::pin(async move { consumers::on_shipping_event(&ctx, conn, event).await })
        });
    setup.background("shipping feed", |cancel| shipments.spawn(cancel));
    Ok(())
}

/// The task behind IssueReturnLabel.
async fn issue_return_label(ctx: std::sync::Arc<Ctx>, task: Task) -> Result<Outcome, TaskError> {
    let stuck = |text: &str| TaskError::Stuck(format!("{text:?} cannot be read"));
    let return_id: ReturnId = task.key.parse().map_err(|_| stuck(&task.key))?;
    let actor: Principal = task.actor.parse().map_err(|_| stuck(&task.actor))?;
    match commands::buy_label(&ctx, return_id, &actor).await {
        Ok(_) => Ok(Outcome::Done),
        // While the call that the request made itself is still under way, shipping refuses a second one.
        Err(Error::Peer { error, .. }) if error.code() == Code::FailedPrecondition => {
            Err(TaskError::Retry(error.to_string()))
        }
        Err(Error::Peer { peer, error }) if !PeerError::retryable(&error) => {
            Err(TaskError::Stuck(format!("{peer}: {error}")))
        }
        Err(error) => Err(TaskError::Retry(error.to_string())),
    }
}
