//! How spans hang together, seen by the exporter.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::future::Future;
use std::sync::{Arc, Mutex};

use oms_telemetry::{
    TraceContext, continue_from, continue_or_link, linked_trace_id, mark_failed, record_order_id,
    set_remote_parent,
};
use opentelemetry::trace::{SpanId, Status, TracerProvider};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use time::Duration;
use tracing::{debug_span, field, info_span};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;

#[derive(Debug, Clone, Default)]
struct Memory(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Memory {
    fn export(&self, batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        self.0.lock().unwrap().extend(batch);
        std::future::ready(Ok(()))
    }
}

/// Runs `work` with tracing on and hands back the spans it made.
fn spans_of(work: impl FnOnce()) -> Vec<SpanData> {
    let memory = Memory::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(memory.clone())
        .build();
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("test"))
        .with_filter(LevelFilter::INFO);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
    let spans = memory.0.lock().unwrap();
    spans.clone()
}

fn named<'a>(spans: &'a [SpanData], name: &str) -> &'a SpanData {
    spans.iter().find(|span| span.name == name).unwrap()
}

/// A context as another process wrote it into a row.
fn stored() -> TraceContext {
    TraceContext::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
}

#[test]
fn work_from_a_row_has_its_cause_as_parent_and_link() {
    let spans = spans_of(|| {
        let mut row = String::new();
        info_span!("place_order").in_scope(|| row = TraceContext::current().into());
        // The loop that found the row has a span of its own, which must not become the parent.
        info_span!("worker").in_scope(|| {
            let span = info_span!("capture_payment");
            continue_from(&span, &TraceContext::parse(&row));
            span.in_scope(|| info_span!("provider_call").in_scope(|| {}));
        });
    });
    let cause = named(&spans, "place_order");
    let work = named(&spans, "capture_payment");
    assert_eq!(work.span_context.trace_id(), cause.span_context.trace_id());
    assert_eq!(work.parent_span_id, cause.span_context.span_id());
    assert!(work.parent_span_is_remote);
    let links: Vec<SpanId> = work
        .links
        .iter()
        .map(|link| link.span_context.span_id())
        .collect();
    assert_eq!(links, [cause.span_context.span_id()]);
    let call = named(&spans, "provider_call");
    assert_eq!(call.parent_span_id, work.span_context.span_id());
    assert_eq!(call.span_context.trace_id(), cause.span_context.trace_id());
}

#[test]
fn a_call_has_its_caller_as_parent_without_a_link() {
    let spans = spans_of(|| {
        let span = info_span!("reserve");
        set_remote_parent(&span, &stored());
        span.in_scope(|| {});
    });
    let call = named(&spans, "reserve");
    assert_eq!(call.parent_span_id.to_string(), "b7ad6b7169203331");
    assert!(call.links.is_empty());
}

#[test]
fn an_old_root_is_linked_from_a_new_trace() {
    let at_age = |age: Duration| {
        spans_of(|| {
            info_span!("worker").in_scope(|| {
                let span = info_span!("close_order");
                continue_or_link(&span, &stored(), age);
                span.in_scope(|| {});
            });
        })
    };
    let old = at_age(Duration::minutes(61));
    let work = named(&old, "close_order");
    let link = work.links.iter().next().unwrap();
    assert_eq!(
        Some(link.span_context.trace_id().to_string().as_str()),
        stored().trace_id()
    );
    assert_ne!(work.span_context.trace_id(), link.span_context.trace_id());
    assert_ne!(
        work.span_context.trace_id(),
        named(&old, "worker").span_context.trace_id()
    );
    assert_eq!(work.parent_span_id, SpanId::INVALID);

    let young = at_age(Duration::minutes(60));
    let work = named(&young, "close_order");
    assert_eq!(
        Some(work.span_context.trace_id().to_string().as_str()),
        stored().trace_id()
    );
    assert_eq!(work.links.iter().count(), 1);
}

#[test]
fn what_a_trace_goes_on_with_is_known_below_its_root() {
    let linked_at = |age: Duration, cause: TraceContext| {
        let mut linked = String::new();
        spans_of(|| {
            let span = info_span!("close_order");
            continue_or_link(&span, &cause, age);
            // One that is exported, and one below the level.
            let child =
                || info_span!("tx").in_scope(|| debug_span!("row").in_scope(linked_trace_id));
            linked = span.in_scope(child);
        });
        linked
    };
    let cause = stored();
    let late = linked_at(Duration::hours(2), cause.clone());
    assert_eq!(Some(late.as_str()), cause.trace_id());
    assert_eq!(linked_at(Duration::minutes(2), cause), "");
    assert_eq!(linked_at(Duration::hours(2), TraceContext::default()), "");
    assert_eq!(linked_trace_id(), "");
}

#[test]
fn an_empty_context_leaves_the_span_where_it_is() {
    let spans = spans_of(|| {
        info_span!("worker").in_scope(|| {
            let span = info_span!("sweep");
            continue_from(&span, &TraceContext::default());
            span.in_scope(|| {});
        });
    });
    let (worker, sweep) = (named(&spans, "worker"), named(&spans, "sweep"));
    assert_eq!(sweep.parent_span_id, worker.span_context.span_id());
    assert!(sweep.links.is_empty());
}

#[test]
fn spans_that_are_not_exported_do_not_break_the_chain() {
    let spans = spans_of(|| {
        info_span!("place_order").in_scope(|| {
            debug_span!("detail").in_scope(|| {
                let context = TraceContext::current();
                assert!(!context.is_empty());
                let span = info_span!("peer");
                set_remote_parent(&span, &context);
                span.in_scope(|| {});
            });
        });
    });
    let (order, peer) = (named(&spans, "place_order"), named(&spans, "peer"));
    assert_eq!(peer.parent_span_id, order.span_context.span_id());
}

#[test]
fn order_id_and_failure_read_the_same_everywhere() {
    let spans = spans_of(|| {
        let declared = info_span!("declared", oms.order.id = field::Empty);
        let undeclared = info_span!("undeclared");
        for span in [declared, undeclared] {
            record_order_id(&span, "o-1");
            mark_failed(&span, "provider timed out");
            span.in_scope(|| {});
        }
    });
    for name in ["declared", "undeclared"] {
        let span = named(&spans, name);
        let ids = span
            .attributes
            .iter()
            .filter(|a| a.key.as_str() == oms_telemetry::ORDER_ID);
        let ids: Vec<String> = ids.map(|attribute| attribute.value.to_string()).collect();
        assert_eq!(ids, ["o-1"], "{name}");
        assert_eq!(span.status, Status::error("provider timed out"), "{name}");
    }
}
