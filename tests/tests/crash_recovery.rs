//! Every service is killed once in the middle of an order; every order ends, and nothing is lost or doubled.

use anyhow::{Context, ensure};
use oms_proto::order::v1 as o;
use oms_proto::shipping::v1::TrackingStatus;
use oms_tests::nodes::Nodes;
use oms_tests::shop::{barcode, new_order};
use oms_tests::usd;

/// Kills a service and starts it again.
async fn crash(nodes: &mut Nodes, service: &str) -> anyhow::Result<()> {
    nodes.kill(service)?;
    nodes.spawn(service)?;
    nodes.until_ready(service).await
}

/// Takes an order to cash; the service dies before or after every step of its way.
async fn one_order(nodes: &mut Nodes, service: &str) -> anyhow::Result<()> {
    let actor = nodes.actor()?;
    let order = actor.place_until_answered(new_order(&[("a", 2)])).await?;
    // In the middle of the saga, wherever it is by now.
    crash(nodes, service).await?;
    let [fo] = actor
        .released(&order.order_id, 1)
        .await?
        .try_into()
        .ok()
        .context("one")?;
    actor.pick_all(&fo).await?;
    let session = actor
        .pack(&fo.fulfillment_order_id, &[(barcode("a"), 2)])
        .await?;
    // While shipping makes the shipment and buys the label.
    crash(nodes, service).await?;
    let shipment = actor.labeled(&session).await?;
    actor.ship(&shipment).await?;
    // While stock is issued and money captured.
    crash(nodes, service).await?;
    actor.track(&shipment, TrackingStatus::Delivered).await?;
    let done = actor
        .order_in(&order.order_id, o::OrderState::Completed)
        .await?;
    let totals = done.totals.context("totals")?;
    ensure!(
        totals.captured == totals.total && totals.total != Some(usd(0)),
        "{totals:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_service_is_killed_in_the_middle_of_an_order() -> anyhow::Result<()> {
    let mut nodes = Nodes::start(env!("CARGO_BIN_EXE_oms-node"), None).await?;
    let actor = nodes.actor()?;
    actor.set_up(&["a"]).await?;
    actor.receive("west", "a", 100).await?;
    for service in ["order", "inventory", "fulfillment", "shipping", "returns"] {
        one_order(&mut nodes, service)
            .await
            .with_context(|| format!("{service} was killed"))?;
    }
    actor.verify().await
}
