//! An order's traces over days, as the service tells them and as they were exported.

use std::collections::BTreeSet;
use std::time::Duration;

use oms_proto::order::v1 as pb;
use oms_telemetry::{Guard, TelemetryConfig, TraceContext};
use oms_testkit::{Collector, Span};
use tonic::Status;

use crate::peers::Trick;
use crate::rig::{Rig, new_order};

const DAY: Duration = Duration::from_hours(24);

fn tracing_to(collector: &Collector) -> Guard {
    let config = TelemetryConfig {
        otlp_endpoint: collector.endpoint(),
        ..TelemetryConfig::default()
    };
    oms_telemetry::start("test", &config).unwrap()
}

/// All traces of an order, read in small pages.
async fn traces(rig: &Rig, order_id: &str) -> Vec<pb::OrderTrace> {
    let mut request = pb::GetOrderTraceRequest {
        order_id: order_id.to_owned(),
        page_size: 2,
        page_token: String::new(),
    };
    let mut traces = Vec::new();
    loop {
        let mut orders = rig.api.orders.clone();
        let answer = orders.get_order_trace(request.clone()).await;
        let page = answer.unwrap().into_inner();
        traces.extend(page.traces);
        if page.next_page_token.is_empty() {
            return traces;
        }
        request.page_token = page.next_page_token;
    }
}

/// Waits for a hold to be released for hours, meets a peer that is down when it goes on, and is shipped a day later.
/// Answers the order, and the trace in which its shipment was told.
async fn order_of_days(rig: &Rig) -> (pb::Order, String) {
    rig.channel(|channel| channel.outlier_quantity = 10).await;
    let placed = rig.place(new_order(&[("A", 11)], "tok_approve")).await;
    let id = &placed.order_id;
    rig.until(id, "the order to be held", |order| {
        order.phase == "ON_HOLD" && order.lines[0].held == 11
    })
    .await;
    rig.clock.advance(Duration::from_hours(2));
    let order = rig
        .until(id, "the stock to be given back", |order| {
            order.lines[0].held == 0
        })
        .await;
    let down = Trick::Fail(Status::unavailable("down"));
    rig.peers.trick("Reserve", down);
    rig.release_hold(&order.holds[0].hold_id).await.unwrap();
    let order = rig.until_done(id).await;
    rig.clock.advance(DAY);
    let told = tracing::info_span!("warehouse").in_scope(|| {
        rig.ship(&order, &[11]);
        TraceContext::current()
    });
    let order = rig
        .until(id, "the shipment", |order| !order.shipment_ids.is_empty())
        .await;
    rig.rest().await;
    (order, told.trace_id().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_of_days_tells_each_of_its_traces_once_and_what_they_go_on_with() {
    let collector = Collector::start();
    let telemetry = tracing_to(&collector);
    let rig = Rig::start().await;
    let (order, shipping) = order_of_days(&rig).await;
    let traces = traces(&rig, &order.order_id).await;

    let ids: BTreeSet<&str> = traces.iter().map(|trace| &*trace.trace_id).collect();
    assert_eq!(ids.len(), traces.len(), "{traces:#?}");
    let times: Vec<_> = traces
        .iter()
        .map(|trace| trace.first_time.map(|time| (time.seconds, time.nanos)))
        .collect();
    assert!(times.is_sorted(), "{times:?}");
    let timeline = rig.timeline(&order.order_id).await;
    for entry in &timeline {
        assert!(ids.contains(&*entry.trace_id), "{entry:?}");
    }

    let placing = &traces[0];
    assert_eq!(placing.trace_id, timeline[0].trace_id);
    assert_eq!(
        (&*placing.started_by, &*placing.actor),
        ("place_order", "user:dev")
    );
    assert_eq!((placing.failed, &*placing.linked_trace_id), (false, ""));
    let of_shipment = traces
        .iter()
        .find(|trace| trace.trace_id == shipping)
        .unwrap();
    assert_eq!(
        (&*of_shipment.started_by, &*of_shipment.actor),
        ("ship", "user:floor")
    );
    let released = traces
        .iter()
        .filter(|trace| trace.started_by == "release_hold");
    assert_eq!(released.count(), 1);
    let failed = traces.iter().find(|trace| trace.failed).unwrap();
    assert_eq!(failed.linked_trace_id, placing.trace_id);
    assert!(failed.started_by.starts_with("saga."), "{failed:?}");

    // The trace store knows the same: from the trace to the order, and to the trace before it.
    telemetry.flush().await;
    let is_root = |span: &Span| span.trace_id == failed.trace_id && span.parent_span_id.is_none();
    let spans = collector
        .wait_for("the root of the trace that failed", |spans| {
            spans.iter().any(is_root)
        })
        .await;
    let root = spans.into_iter().find(is_root).unwrap();
    assert_eq!(root.attributes["oms.order.id"], order.order_id);
    assert_eq!(root.links[0].trace_id, placing.trace_id);
}

#[tokio::test]
async fn without_tracing_an_order_has_no_traces() {
    let rig = Rig::start().await;
    let placed = rig.place(new_order(&[("A", 1)], "tok_approve")).await;
    assert_eq!(traces(&rig, &placed.order_id).await, []);
}
