//! Every service is killed once in the middle of an order; every order ends, and nothing is lost or doubled.

use anyhow::{Context, ensure};
use oms_proto::order::v1 as o;
use oms_proto::shipping::v1::TrackingStatus;
use oms_tests::nodes::Nodes;
use oms_tests::shop::{barcode, new_order};
use oms_tests::summary::{Row, note};
use oms_tests::usd;

/// Takes an order to cash; the service dies before or after every step of its way.
async fn one_order(nodes: &mut Nodes, service: &str) -> anyhow::Result<()> {
    let actor = nodes.actor()?;
    let order = actor.place_until_answered(new_order(&[("a", 2)])).await?;
    // In the middle of the saga, wherever it is by now.
    nodes.crash(service).await?;
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
    nodes.crash(service).await?;
    let shipment = actor.labeled(&session).await?;
    actor.ship(&shipment).await?;
    // While stock is issued and money captured.
    nodes.crash(service).await?;
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
    Box::pin(note("each service killed", None, run())).await
}

async fn run() -> anyhow::Result<Row> {
    let mut nodes = Nodes::start(env!("CARGO_BIN_EXE_oms-node"), None).await?;
    let actor = nodes.actor()?;
    actor.set_up(&["a"]).await?;
    actor.receive("west", "a", 100).await?;
    let services = ["order", "inventory", "fulfillment", "shipping", "returns"];
    for service in services {
        one_order(&mut nodes, service)
            .await
            .with_context(|| format!("{service} was killed"))?;
    }
    // Three times on the way of each order.
    Row::proven(&actor, 3 * services.len()).await
}
