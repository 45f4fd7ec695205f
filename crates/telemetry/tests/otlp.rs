//! Spans reach an OTLP collector when the program stops.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::{Arc, Mutex};

use oms_telemetry::{TelemetryConfig, TraceContext};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

#[derive(Debug, Clone, Default)]
struct Collector(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.lock().unwrap().push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_sends_every_span() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let otlp_endpoint = format!("http://{}", listener.local_addr().unwrap());
    let collector = Collector::default();
    let server = tonic::transport::Server::builder()
        .add_service(TraceServiceServer::new(collector.clone()))
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(server);

    let config = TelemetryConfig {
        // Quiet logs must not cost spans.
        filter: "error".to_owned(),
        otlp_endpoint,
        ..TelemetryConfig::default()
    };
    let guard = oms_telemetry::start("order", &config).unwrap();
    let traced = tracing::info_span!("first").in_scope(TraceContext::current);
    assert!(!traced.is_empty());
    guard.flush().await;
    assert_eq!(names(&collector), ["first"]);
    for _ in 1..3_000 {
        tracing::info_span!("more").in_scope(|| {});
    }
    guard.shutdown().await;

    assert_eq!(names(&collector).len(), 3_000);
    let requests = collector.0.lock().unwrap();
    let resource = requests[0].resource_spans[0].resource.clone().unwrap();
    let service = resource
        .attributes
        .iter()
        .find(|attribute| attribute.key == "service.name");
    assert!(format!("{service:?}").contains("\"order\""));
    drop(requests);
    assert!(oms_telemetry::start("order", &config).is_err());
}

fn names(collector: &Collector) -> Vec<String> {
    let requests = collector.0.lock().unwrap();
    let scopes = requests.iter().flat_map(|request| &request.resource_spans);
    let spans = scopes
        .flat_map(|resource| &resource.scope_spans)
        .flat_map(|scope| &scope.spans);
    spans.map(|span| span.name.clone()).collect()
}
