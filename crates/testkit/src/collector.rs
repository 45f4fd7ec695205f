//! Receives spans over OTLP, in this process, so that tests can look at what was exported.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use crate::wait::PATIENCE;

/// One exported span, with the parts tests look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// `service.name` of the program that exported it.
    pub service: String,
    /// Its name.
    pub name: String,
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// 16 hexadecimal digits.
    pub span_id: String,
    /// 16 hexadecimal digits; `None` for the root of a trace.
    pub parent_span_id: Option<String>,
    /// As in the protocol: 1 internal, 2 server, 3 client, 4 producer, 5 consumer.
    pub kind: i32,
    /// Values as text.
    pub attributes: BTreeMap<String, String>,
    /// Spans it points to without being their child.
    pub links: Vec<Link>,
    /// Names of its events, in order.
    pub events: Vec<String>,
    /// Whether its status is an error.
    pub is_error: bool,
}

/// A span that another one points to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// 16 hexadecimal digits.
    pub span_id: String,
}

/// An OTLP receiver for traces. Dropping it stops it.
///
/// It runs on a thread of its own, so that an exporter that blocks a test's thread while it
/// flushes still gets its answer.
pub struct Collector {
    address: SocketAddr,
    spans: watch::Receiver<Vec<Span>>,
    stop: Option<oneshot::Sender<()>>,
    server: Option<thread::JoinHandle<()>>,
}

impl Collector {
    /// Starts to receive, on a free port of the loopback address.
    pub fn start() -> Self {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = socket.local_addr().expect("a bound socket has an address");
        let (collected, spans) = watch::channel(Vec::new());
        let (stop, stopped) = oneshot::channel();
        let server = thread::spawn(move || serve(socket, collected, stopped));
        Self {
            address,
            spans,
            stop: Some(stop),
            server: Some(server),
        }
    }

    /// Where to export to; what `OTEL_EXPORTER_OTLP_ENDPOINT` would be set to.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything received so far, in order of arrival.
    pub fn spans(&self) -> Vec<Span> {
        self.spans.borrow().clone()
    }

    /// Waits until `condition` holds for everything received so far, and returns it.
    ///
    /// # Panics
    /// After 30 s, with the spans received in the message.
    pub async fn wait_for(&self, what: &str, condition: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        let mut spans = self.spans.clone();
        let reached = timeout(PATIENCE, spans.wait_for(|spans| condition(spans))).await;
        let Ok(reached) = reached else {
            let seconds = PATIENCE.as_secs();
            panic!(
                "waited {seconds} s for {what}; received:\n{}",
                outline(&self.spans())
            );
        };
        match reached {
            Ok(spans) => spans.clone(),
            Err(ended) => panic!("the collector ended while waiting for {what}: {ended}"),
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(server) = self.server.take() {
            let _panicked = server.join();
        }
    }
}

/// One line per span, for messages.
fn outline(spans: &[Span]) -> String {
    let line = |span: &Span| {
        let parent = span.parent_span_id.as_deref().unwrap_or("-");
        format!(
            "  {} {}: {} of {parent} in {}",
            span.service, span.name, span.span_id, span.trace_id
        )
    };
    spans.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn serve(socket: TcpListener, collected: watch::Sender<Vec<Span>>, stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime
        .expect("a runtime for the collector")
        .block_on(async {
            socket
                .set_nonblocking(true)
                .expect("a socket that does not block");
            let socket = tokio::net::TcpListener::from_std(socket).expect("a socket for tokio");
            let server = tonic::transport::Server::builder()
                .add_service(TraceServiceServer::new(Receiver { collected }))
                .serve_with_incoming(TcpListenerStream::new(socket));
            // Exporters keep their connections open, so waiting for them to close would take for ever.
            tokio::select! {
                ended = server => ended.expect("the collector serves until it is stopped"),
                _ = stopped => {}
            }
        });
}

struct Receiver {
    collected: watch::Sender<Vec<Span>>,
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let arrived = request
            .into_inner()
            .resource_spans
            .into_iter()
            .flat_map(spans_of);
        self.collected.send_modify(|spans| spans.extend(arrived));
        Ok(Response::new(ExportTraceServiceResponse {
            partial_success: None,
        }))
    }
}

fn spans_of(group: ResourceSpans) -> Vec<Span> {
    let resource = group
        .resource
        .map(|resource| attributes(resource.attributes));
    let service = resource
        .and_then(|mut all| all.remove("service.name"))
        .unwrap_or_default();
    let spans = group.scope_spans.into_iter().flat_map(|scope| scope.spans);
    spans
        .map(|span| Span {
            service: service.clone(),
            name: span.name,
            trace_id: hex(&span.trace_id),
            span_id: hex(&span.span_id),
            parent_span_id: Some(hex(&span.parent_span_id)).filter(|id| !id.is_empty()),
            kind: span.kind,
            attributes: attributes(span.attributes),
            links: span
                .links
                .iter()
                .map(|link| Link {
                    trace_id: hex(&link.trace_id),
                    span_id: hex(&link.span_id),
                })
                .collect(),
            events: span.events.into_iter().map(|event| event.name).collect(),
            is_error: span.status.is_some_and(|status| status.code == 2),
        })
        .collect()
}

fn attributes(pairs: Vec<KeyValue>) -> BTreeMap<String, String> {
    pairs
        .into_iter()
        .map(|pair| (pair.key, text(pair.value)))
        .collect()
}

fn text(value: Option<AnyValue>) -> String {
    match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::BoolValue(value)) => value.to_string(),
        Some(Value::IntValue(value)) => value.to_string(),
        Some(Value::DoubleValue(value)) => value.to_string(),
        Some(Value::ArrayValue(list)) => {
            let items: Vec<_> = list
                .values
                .into_iter()
                .map(|item| text(Some(item)))
                .collect();
            format!("[{}]", items.join(", "))
        }
        other => other.map(|other| format!("{other:?}")).unwrap_or_default(),
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _infallible = write!(text, "{byte:02x}");
    }
    text
}
