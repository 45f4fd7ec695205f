//! One order, one trace: from the placed order to cash over five processes, with every edge that the design names.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use oms_proto::order::v1 as o;
use oms_telemetry::TelemetryConfig;
use oms_testkit::{Collector, Span};
use oms_tests::nodes::Nodes;
use oms_tests::shop::new_order;
use oms_tests::suite::Actor;
use tracing::Instrument;

/// Caller, method: what the saga and the events after it must have called.
const EDGES: &[(&str, &str)] = &[
    ("oms-order", "inventory.batch_get_items"),
    ("oms-order", "fulfillment.propose_sourcing"),
    ("oms-order", "inventory.reserve"),
    ("oms-order", "inventory.confirm_reservation"),
    ("oms-order", "fulfillment.create_fulfillment_orders"),
    ("oms-fulfillment", "inventory.batch_get_items"),
];

/// Spans that continue the order's trace in other services, days later if need be.
const CONTINUED: &[(&str, &str)] = &[
    ("oms-order", "payment.authorize_payment"),
    ("oms-order", "payment.capture_payment"),
    ("oms-shipping", "shipping.on_fulfillment_order_packed"),
    ("oms-inventory", "inventory.on_shipment_shipped"),
    ("oms-order", "order.on_shipment_shipped"),
    ("oms-fulfillment", "fulfillment.on_shipment_shipped"),
];

fn name(span: &Span) -> (String, String) {
    (span.service.clone(), span.name.clone())
}

/// Takes an order to cash, as a caller does who carries on its own trace; answers the order's id.
async fn order_to_cash(actor: &Actor) -> anyhow::Result<String> {
    actor.set_up(&["a"]).await?;
    actor.receive("west", "a", 5).await?;
    let order = actor.place(new_order(&[("a", 2)])).await?;
    let [fo] = actor
        .released(&order.order_id, 1)
        .await?
        .try_into()
        .ok()
        .context("one")?;
    actor.fulfill(&fo).await?;
    actor
        .order_in(&order.order_id, o::OrderState::Completed)
        .await?;
    actor.verify().await?;
    Ok(order.order_id)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_has_one_trace_over_five_services() -> anyhow::Result<()> {
    let collector = Collector::start();
    let mut nodes =
        Nodes::start(env!("CARGO_BIN_EXE_oms-node"), Some(collector.endpoint())).await?;
    let telemetry = TelemetryConfig {
        otlp_endpoint: collector.endpoint(),
        ..TelemetryConfig::default()
    };
    let telemetry = oms_telemetry::start("oms-test", &telemetry)?;
    let order_id = order_to_cash(&nodes.actor()?)
        .instrument(tracing::info_span!("order_to_cash"))
        .await?;
    nodes.end()?;
    telemetry.shutdown().await;

    let spans = collector.spans();
    let root = spans
        .iter()
        .find(|span| span.service == "oms-order" && span.name == "order.place_order")
        .context("no span of PlaceOrder")?;
    let trace: Vec<&Span> = spans
        .iter()
        .filter(|span| span.trace_id == root.trace_id)
        .collect();
    let seen: BTreeSet<(String, String)> = trace.iter().map(|span| name(span)).collect();
    for (service, span) in EDGES.iter().chain(CONTINUED) {
        let wanted = ((*service).to_owned(), (*span).to_owned());
        ensure!(
            seen.contains(&wanted),
            "{wanted:?} is not in the trace: {seen:#?}"
        );
    }
    let failed: Vec<_> = trace
        .iter()
        .filter(|span| span.is_error)
        .map(|span| name(span))
        .collect();
    ensure!(
        failed.is_empty(),
        "nothing failed, but these say so: {failed:?}"
    );
    no_span_is_lost(&trace)?;
    every_rpc_tells_its_order(&trace, &order_id)
}

/// Every parent that a span names was received too, but those of the test's own client.
fn no_span_is_lost(trace: &[&Span]) -> anyhow::Result<()> {
    let ids: BTreeSet<_> = trace.iter().map(|span| span.span_id.clone()).collect();
    let orphans: Vec<_> = trace
        .iter()
        .filter(|span| {
            span.parent_span_id
                .as_ref()
                .is_some_and(|parent| !ids.contains(parent))
        })
        .map(|span| name(span))
        .collect();
    ensure!(
        orphans.is_empty(),
        "spans without their parent: {orphans:?}"
    );
    Ok(())
}

fn every_rpc_tells_its_order(trace: &[&Span], order_id: &str) -> anyhow::Result<()> {
    let others: Vec<_> = trace
        .iter()
        .filter(|span| {
            span.attributes
                .get("oms.order.id")
                .is_some_and(|id| id != order_id)
        })
        .map(|span| name(span))
        .collect();
    ensure!(others.is_empty(), "spans of another order: {others:?}");
    let services: BTreeSet<_> = trace
        .iter()
        .filter(|span| span.attributes.contains_key("oms.order.id"))
        .map(|span| span.service.as_str())
        .collect();
    ensure!(
        services.len() >= 4,
        "oms.order.id stands on spans of {services:?} only"
    );
    Ok(())
}
