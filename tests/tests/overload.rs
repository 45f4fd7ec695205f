//! R18 without a clock: more calls than a service takes. Each gets its result, or RESOURCE_EXHAUSTED with the time to come back;
//! what was refused was not done, and is done when it is asked for again. How much is served
//! meanwhile: `oms bench overload`; a lane that is full: `services/inventory/tests/it/limits.rs`.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use oms_proto::common::v1::ErrorReason;
use oms_proto::order::v1 as o;
use oms_service::PeerError;
use oms_tests::fresh_id;
use oms_tests::provider::connect;
use oms_tests::shop::new_order;
use oms_tests::suite::{Actor, TestSuite, answered};
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::sync::mpsc;
use tonic::{Code, Status};

/// Nothing gives up by itself while the table is locked.
const PATIENT: &str = "[database]\nlock_timeout_ms = 60000\nstatement_timeout_ms = 60000\n";
const CALLS: usize = 40;

/// Locks a table, so that no call that needs it ends, until the connection is dropped.
async fn jam(actor: &Actor, service: &str, table: &str) -> anyhow::Result<PgConnection> {
    let mut conn = connect(&actor.postgres_url, &format!("oms_{service}")).await?;
    let lock = format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE");
    sqlx::raw_sql(AssertSqlSafe(lock))
        .execute(&mut conn)
        .await?;
    Ok(conn)
}

/// A refusal that a caller can work with.
fn refusal(status: Status) -> anyhow::Result<()> {
    let error = PeerError::from(status);
    ensure!(
        error.code() == Code::ResourceExhausted
            && error.reason() == Some(ErrorReason::Overloaded)
            && error.retry_after().is_some()
            && error.retryable(),
        "{error:?}"
    );
    Ok(())
}

/// Makes all calls at once while `jammed` keeps them from ending, lets go when all but `taken` were refused, and answers the calls that
/// were refused.
async fn crowd<T, A, F>(
    calls: &[T],
    taken: usize,
    jammed: PgConnection,
    call: impl Fn(T) -> F,
) -> anyhow::Result<Vec<T>>
where
    T: Clone + Send + 'static,
    A: Send + 'static,
    F: Future<Output = Result<A, Status>> + Send + 'static,
{
    let (tells, mut told) = mpsc::unbounded_channel();
    for message in calls {
        let (tells, answer) = (tells.clone(), call(message.clone()));
        let message = message.clone();
        tokio::spawn(async move { tells.send((message, answer.await.map(|_| ()))) });
    }
    drop(tells);
    let mut refused = Vec::new();
    while refused.len() < calls.len() - taken {
        let (message, answer) = told.recv().await.context("an answer")?;
        refusal(answer.err().context("served behind a lock")?)?;
        refused.push(message);
    }
    drop(jammed);
    while let Some((message, answer)) = told.recv().await {
        if let Err(status) = answer {
            refusal(status)?;
            refused.push(message);
        }
    }
    ensure!(refused.len() < calls.len(), "nobody was served");
    Ok(refused)
}

async fn placed(actor: &Actor) -> anyhow::Result<BTreeSet<String>> {
    let mut conn = connect(&actor.postgres_url, "oms_order").await?;
    let ids = sqlx::query_scalar("SELECT external_reference FROM orders");
    let ids: Vec<String> = ids.fetch_all(&mut conn).await?;
    let (count, ids) = (ids.len(), BTreeSet::from_iter(ids));
    ensure!(ids.len() == count, "an order was placed twice: {ids:?}");
    Ok(ids)
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_orders_are_refused_and_none_is_lost_or_doubled() -> anyhow::Result<()> {
    let order = format!("{PATIENT}[server]\ncalls_max = 4\n");
    let suite = TestSuite::with(&[("order", &order)]).await?;
    suite.set_up(&["a"]).await?;
    suite.receive("west", "a", 1_000).await?;
    let request = |number: usize| {
        let mut order = new_order(&[("a", 1)]);
        order.external_reference = format!("order-{number}");
        o::PlaceOrderRequest {
            request_id: fresh_id(),
            order: Some(order),
            wait_for: o::WaitFor::Pending.into(),
        }
    };
    let calls: Vec<o::PlaceOrderRequest> = (0..CALLS).map(request).collect();

    let jammed = jam(&suite, "order", "idempotency").await?;
    let refused = crowd(&calls, 4, jammed, |call| {
        let mut orders = suite.clients.orders();
        async move { orders.place_order(call).await }
    })
    .await?;

    let names = |calls: &[o::PlaceOrderRequest]| -> BTreeSet<String> {
        let orders = calls.iter().filter_map(|call| call.order.as_ref());
        orders
            .map(|order| order.external_reference.clone())
            .collect()
    };
    let (all, later) = (names(&calls), names(&refused));
    let served: BTreeSet<String> = all.difference(&later).cloned().collect();
    ensure!(placed(&suite).await? == served, "what was refused was done");
    for call in &refused {
        let again = || async { suite.clients.orders().place_order(call.clone()).await };
        answered("place order", again).await?;
    }
    ensure!(placed(&suite).await? == all);
    // As before: with its saga, and nobody else's left behind.
    let after = suite.place(new_order(&[("a", 1)])).await?;
    suite
        .order_in(&after.order_id, o::OrderState::Confirmed)
        .await?;
    suite.finish().await
}
