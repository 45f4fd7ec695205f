//! R15: all five services are replaced, one process after the other, while orders are placed and taken to cash. A call is made
//! again by its caller only as the rules for callers say; plain reads are made once, and none of them may fail either.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, ensure};
use oms::suite::SERVICES;
use oms_proto::fulfillment::v1 as f;
use oms_proto::inventory::v1 as i;
use oms_proto::order::v1::{GetOrderRequest, OrderState};
use oms_proto::returns::v1 as r;
use oms_proto::shipping::v1 as s;
use oms_tests::crash::say;
use oms_tests::nodes::Nodes;
use oms_tests::shop::new_order;
use oms_tests::suite::{Actor, wait_for};
use oms_tests::summary::{Row, note};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::NODE;

/// Orders under way at the same time.
const CLIENTS: usize = 3;

/// One order after the other to cash.
async fn client(
    actor: Actor,
    over: CancellationToken,
    done: Arc<AtomicUsize>,
) -> anyhow::Result<()> {
    while !over.is_cancelled() {
        let order = actor.place_until_answered(new_order(&[("a", 1)])).await?;
        for fo in actor.released(&order.order_id, 1).await? {
            actor.fulfill(&fo).await?;
        }
        actor
            .order_in(&order.order_id, OrderState::Completed)
            .await?;
        // Once, without a retry of the caller's.
        let asked = GetOrderRequest {
            order_id: order.order_id,
            ..Default::default()
        };
        let read = actor.clients.orders().get_order(asked).await;
        read.context("a read failed")?;
        done.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// Plain reads of every service, one after the other, each made once.
async fn reader(actor: Actor, order_id: String, over: CancellationToken) -> anyhow::Result<()> {
    let clients = &actor.clients;
    while !over.is_cancelled() {
        let asked = GetOrderRequest {
            order_id: order_id.clone(),
            ..Default::default()
        };
        clients.orders().get_order(asked).await.context("order")?;
        clients
            .items()
            .list_items(i::ListItemsRequest::default())
            .await
            .context("inventory")?;
        clients
            .fulfillment_orders()
            .list_fulfillment_orders(f::ListFulfillmentOrdersRequest {
                order_id: order_id.clone(),
                ..Default::default()
            })
            .await
            .context("fulfillment")?;
        clients
            .shipments()
            .list_shipments(s::ListShipmentsRequest::default())
            .await
            .context("shipping")?;
        clients
            .returns()
            .list_returns(r::ListReturnsRequest::default())
            .await
            .context("returns")?;
    }
    Ok(())
}

async fn run() -> anyhow::Result<Row> {
    let mut nodes = Nodes::start(NODE, None).await?.with_twins().await?;
    let actor = nodes.actor()?;
    actor.set_up(&["a"]).await?;
    actor.receive("west", "a", 10_000).await?;
    let first = actor.place_until_answered(new_order(&[("a", 1)])).await?;

    let (over, done) = (CancellationToken::new(), Arc::new(AtomicUsize::new(0)));
    let mut people = JoinSet::new();
    for _ in 0..CLIENTS {
        people.spawn(client(actor.clone(), over.clone(), Arc::clone(&done)));
    }
    people.spawn(reader(actor.clone(), first.order_id.clone(), over.clone()));
    for (service, _) in SERVICES {
        let before = done.load(Ordering::Relaxed);
        nodes
            .roll(service)
            .await
            .with_context(|| format!("{service} is replaced"))?;
        say(format!("  {service} is replaced, {before} orders so far"));
        // An order came to its end since.
        wait_for("an order to come to its end", || async {
            let now = done.load(Ordering::Relaxed);
            Ok(if now > before {
                Ok(())
            } else {
                Err(now.to_string())
            })
        })
        .await?;
    }
    over.cancel();
    while let Some(one) = people.join_next().await {
        one??;
    }
    ensure!(
        done.load(Ordering::Relaxed) >= SERVICES.len(),
        "too few orders"
    );
    for fo in actor.released(&first.order_id, 1).await? {
        actor.fulfill(&fo).await?;
    }
    actor
        .order_in(&first.order_id, OrderState::Completed)
        .await?;
    Row::proven(&actor, 2 * SERVICES.len()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_is_lost_while_every_service_is_replaced() -> anyhow::Result<()> {
    Box::pin(note("R15 rolling update", None, run())).await
}
