//! One trace through a caller, a server and a consumer.

use oms_proto::order::v1::hold_service_client::HoldServiceClient;
use oms_service::FeedConsumer;
use oms_telemetry::{TelemetryConfig, TraceContext};
use oms_testkit::{Collector, TestDb};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::support::{Fixture, connect, database, tell};

const SERVER: i32 = 2;
const CLIENT: i32 = 3;
const CONSUMER: i32 = 5;

/// Consumes the one event of the fixture.
async fn consume(fixture: &Fixture) -> (TestDb, JoinHandle<()>) {
    let database = database().await;
    let db = connect(&database).await;
    let (done, mut is_done) = watch::channel(false);
    let consumer = FeedConsumer::new(db, fixture.peer_channel(), "returns", "order");
    let consumer = consumer.apply(move |_, _| {
        done.send_replace(true);
        Box::pin(async { Ok(()) })
    });
    let running = consumer.spawn(CancellationToken::new());
    is_done.wait_for(|done| *done).await.unwrap();
    (database, running)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_from_a_call_is_one_trace_and_a_failure_is_marked_where_it_was() {
    let collector = Collector::start();
    let config = TelemetryConfig {
        otlp_endpoint: collector.endpoint(),
        ..TelemetryConfig::default()
    };
    let telemetry = oms_telemetry::start("test", &config).unwrap();
    let fixture = Fixture::new().await;
    let buy = async {
        let mut client = HoldServiceClient::new(fixture.peer_channel());
        client.place_hold(tell("echo")).await.unwrap();
        client.place_hold(tell("shortage")).await.unwrap_err();
        fixture.publish(&[("o-1", 1)]).await;
        TraceContext::current()
    };
    let trace = buy.instrument(tracing::info_span!("buy")).await;
    let (_database, consumer) = consume(&fixture).await;
    telemetry.flush().await;
    let spans = collector
        .wait_for("both calls on both sides, and the event", |spans| {
            let count = |name: &str| spans.iter().filter(|span| span.name == name).count();
            count("order.place_hold") == 4
                && count("returns.on_order_placed") == 1
                && count("tx.publish") == 1
        })
        .await;
    let of = |name: &str| {
        spans
            .iter()
            .filter(|span| span.name == name)
            .collect::<Vec<_>>()
    };
    let parent = |child: &oms_testkit::Span| {
        let parent = spans
            .iter()
            .find(|span| Some(&span.span_id) == child.parent_span_id.as_ref());
        parent.unwrap_or_else(|| panic!("{} has no parent", child.name))
    };

    let calls = of("order.place_hold");
    for call in &calls {
        assert_eq!(Some(&*call.trace_id), trace.trace_id());
    }
    for served in calls.iter().filter(|span| span.kind == SERVER) {
        assert_eq!(parent(served).kind, CLIENT);
        assert_eq!(parent(served).is_error, served.is_error);
        assert_eq!(served.attributes["oms.principal"], "service:returns");
    }
    let failed: Vec<_> = calls.iter().filter(|span| span.is_error).collect();
    assert_eq!(failed.len(), 2);
    for call in failed {
        assert_eq!(call.attributes["oms.error.reason"], "OUT_OF_STOCK");
    }

    let consumed = of("returns.on_order_placed")[0];
    assert_eq!(Some(&*consumed.trace_id), trace.trace_id());
    assert_eq!(consumed.kind, CONSUMER);
    assert_eq!(parent(consumed).name, "tx.publish");
    assert_eq!(consumed.links[0].span_id, parent(consumed).span_id);
    assert_eq!(consumed.attributes["oms.order.id"], "o-1");
    consumer.abort();
    telemetry.shutdown().await;
}
