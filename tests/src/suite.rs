//! A suite of its own for a test.

use std::future::Future;
use std::ops::Deref;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use oms::clients::Clients;
use oms::suite::{Suite, SuiteConfig};
use oms::verify;
use oms_engines::EnginesConfig;
use oms_proto::common::v1::ErrorReason;
use oms_proto::order::v1::{GetOrderRequest, Order, OrderState};
use oms_service::PeerError;
use tonic::{Response, Status};

/// Longest wait for anything; a test that needs more is stuck.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// First and longest pause between two looks: many who wait together must not keep a small machine busy with looking.
const PAUSE_FIRST: Duration = Duration::from_millis(10);
const PAUSE_MOST: Duration = Duration::from_millis(200);

/// Whoever acts in a test: clients on behalf of `user:test`, and the server that the verifier looks at.
#[derive(Debug, Clone)]
pub struct Actor {
    /// The clients.
    pub clients: Clients,
    /// Postgres server of the five databases.
    pub postgres_url: String,
}

/// A running suite in this process, and an actor in it.
#[derive(Debug)]
pub struct TestSuite {
    /// The suite.
    pub suite: Suite,
    actor: Actor,
}

impl Deref for TestSuite {
    type Target = Actor;

    fn deref(&self) -> &Actor {
        &self.actor
    }
}

/// Throwaway engines in a directory of their own; installed ones are looked for in the workspace.
///
/// # Errors
/// When no directory can be made.
pub fn engines() -> anyhow::Result<EnginesConfig> {
    Ok(engines_in(oms_engines::scratch::create()?))
}

/// Throwaway engines in this directory.
pub fn engines_in(dir: PathBuf) -> EnginesConfig {
    let cache = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../.oms/engines");
    EnginesConfig::throwaway(dir, cache)
}

impl TestSuite {
    /// Starts engines and services.
    ///
    /// # Errors
    /// When something cannot start.
    pub async fn start() -> anyhow::Result<Self> {
        Self::with(&[]).await
    }

    /// Starts a suite with configuration of some services: (`"order"`, TOML).
    ///
    /// # Errors
    /// When something cannot start.
    pub async fn with(overrides: &[(&'static str, &str)]) -> anyhow::Result<Self> {
        let mut config = SuiteConfig::new(engines()?);
        config.overrides = overrides
            .iter()
            .map(|(service, text)| (*service, (*text).to_owned()))
            .collect();
        let suite = Suite::start(config).await?;
        let actor = Actor {
            clients: Clients::of_suite(&suite, "user:test")?,
            postgres_url: suite.engines.postgres_url(),
        };
        Ok(Self { suite, actor })
    }

    /// Stops everything, after the verifier has found no violation.
    ///
    /// # Errors
    /// When an invariant is violated or a service ended badly.
    pub async fn finish(self) -> anyhow::Result<()> {
        self.verify().await?;
        self.suite.stop().await
    }
}

impl Actor {
    /// Waits until the verifier finds nothing: work that is under way may take a moment to come to rest.
    ///
    /// # Errors
    /// When violations stay.
    pub async fn verify(&self) -> anyhow::Result<()> {
        self.verify_but(&[]).await
    }

    /// [`Actor::verify`] without these invariants, which a test violates on purpose.
    ///
    /// # Errors
    /// When violations of others stay.
    pub async fn verify_but(&self, expected: &[&str]) -> anyhow::Result<()> {
        wait_for("the verifier to find nothing", || async {
            let verdict = verify::run(&self.postgres_url, true).await?;
            let bad: Vec<String> = verdict
                .invariants
                .iter()
                .filter(|finding| finding.violations > 0 && !expected.contains(&finding.name))
                .map(|finding| format!("{}: {:?}", finding.name, finding.examples))
                .collect();
            if bad.is_empty() {
                Ok(Ok(()))
            } else {
                Ok(Err(bad.join("; ")))
            }
        })
        .await
    }

    /// Reads an order.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn order(&self, order_id: &str) -> anyhow::Result<Order> {
        let request = GetOrderRequest {
            order_id: order_id.to_owned(),
            ..Default::default()
        };
        let answer = answered("get order", || async {
            self.clients.orders().get_order(request.clone()).await
        })
        .await?;
        answer.order.context("no order was answered")
    }

    /// Waits until an order fulfills a condition.
    ///
    /// # Errors
    /// When it does not.
    pub async fn order_when(
        &self,
        order_id: &str,
        what: &str,
        test: impl Fn(&Order) -> bool,
    ) -> anyhow::Result<Order> {
        wait_for(what, || async {
            let order = self.order(order_id).await?;
            Ok(if test(&order) {
                Ok(order)
            } else {
                Err(format!("{order:#?}"))
            })
        })
        .await
    }

    /// Waits until an order is in a state.
    ///
    /// # Errors
    /// When it does not get there.
    pub async fn order_in(&self, order_id: &str, state: OrderState) -> anyhow::Result<Order> {
        let what = format!("order {order_id} to be {}", state.as_str_name());
        self.order_when(order_id, &what, |order| order.state() == state)
            .await
    }
}

/// Makes a call until it is answered, as the rules for callers say: the same message, with its request id, again when nobody
/// answered or the answer may be another one later. A defect of the server is an answer.
///
/// # Errors
/// When it is refused, or not answered for two minutes.
pub async fn answered<A, F, R>(what: &str, call: F) -> anyhow::Result<A>
where
    F: Fn() -> R,
    R: Future<Output = Result<Response<A>, Status>>,
{
    wait_for(&format!("an answer: {what}"), || async {
        let error = match call().await {
            Ok(answer) => return Ok(Ok(answer.into_inner())),
            Err(status) => PeerError::from(status),
        };
        let is_defect = error.reason() == Some(ErrorReason::Internal);
        if is_defect || !error.retryable() {
            return Err(anyhow::Error::new(error).context(what.to_owned()));
        }
        tokio::time::sleep(error.retry_after().unwrap_or_default()).await;
        Ok(Err(error.to_string()))
    })
    .await
}

/// Asks again and again until `check` answers `Ok`; its `Err` is the last thing seen, for the message.
///
/// # Errors
/// When two minutes have passed, or asking itself fails.
pub async fn wait_for<T, F, R>(what: &str, check: F) -> anyhow::Result<T>
where
    F: Fn() -> R,
    R: Future<Output = anyhow::Result<Result<T, String>>>,
{
    let give_up = tokio::time::Instant::now() + PATIENCE;
    let mut pause = PAUSE_FIRST;
    loop {
        match check().await? {
            Ok(value) => return Ok(value),
            Err(seen) if tokio::time::Instant::now() > give_up => {
                anyhow::bail!("waited for {what} in vain; last seen: {seen}")
            }
            Err(_) => tokio::time::sleep(pause).await,
        }
        pause = (pause * 3 / 2).min(PAUSE_MOST);
    }
}
