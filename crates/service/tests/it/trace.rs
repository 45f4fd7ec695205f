//! One trace through a caller, a server and a consumer.

use oms_proto::order::v1::hold_service_client::HoldServiceClient;
use oms_telemetry::{TelemetryConfig, TraceContext};
use oms_testkit::Collector;
use tracing::Instrument;

use crate::support::{Fixture, tell};

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_one_trace_and_a_failure_is_marked_where_it_was() {
    let collector = Collector::start();
    let config = TelemetryConfig {
        otlp_endpoint: collector.endpoint(),
        ..TelemetryConfig::default()
    };
    let telemetry = oms_telemetry::start("test", &config).unwrap();
    let fixture = Fixture::new().await;
    let span = tracing::info_span!("buy");
    let trace = async {
        let mut client = HoldServiceClient::new(fixture.peer_channel());
        client.place_hold(tell("echo")).await.unwrap();
        client.place_hold(tell("shortage")).await.unwrap_err();
        TraceContext::current()
    }
    .instrument(span)
    .await;
    let trace_id = trace.trace_id().unwrap().to_owned();
    telemetry.flush().await;
    let spans = collector
        .wait_for("both calls on both sides", |spans| {
            spans
                .iter()
                .filter(|span| span.name == "order.place_hold")
                .count()
                == 4
        })
        .await;
    let calls: Vec<_> = spans
        .iter()
        .filter(|span| span.name == "order.place_hold")
        .collect();
    assert!(calls.iter().all(|span| span.trace_id == trace_id));
    let (server, client) = (2, 3);
    for served in calls.iter().filter(|span| span.kind == server) {
        let parent = calls
            .iter()
            .find(|call| Some(&call.span_id) == served.parent_span_id.as_ref());
        let parent = parent.expect("the parent of a served call is the call");
        assert_eq!(parent.kind, client);
        assert_eq!(parent.is_error, served.is_error);
        assert_eq!(served.attributes["oms.principal"], "service:returns");
    }
    let failed: Vec<_> = calls.iter().filter(|span| span.is_error).collect();
    assert_eq!(failed.len(), 2);
    assert!(
        failed
            .iter()
            .all(|span| span.attributes["oms.error.reason"] == "OUT_OF_STOCK")
    );
    telemetry.shutdown().await;
}
