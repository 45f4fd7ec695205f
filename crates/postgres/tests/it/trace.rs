//! The trace goes on through rows.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use oms_postgres::feed::{self, Filter};
use oms_postgres::{Outcome, RunnerConfig, Task, TaskError, TaskRunner};
use oms_telemetry::TraceContext;
use oms_testkit::SeqIds;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use tracing::Instrument;
use tracing_subscriber::layer::SubscriberExt;

use crate::support::Fixture;

#[derive(Debug, Clone, Default)]
struct Memory(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Memory {
    fn export(&self, batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        self.0.lock().unwrap().extend(batch);
        std::future::ready(Ok(()))
    }
}

impl Memory {
    fn named(&self, name: &str) -> SpanData {
        let spans = self.0.lock().unwrap();
        let names: Vec<_> = spans.iter().map(|span| &span.name).collect();
        let found = spans.iter().find(|span| span.name == name);
        found
            .unwrap_or_else(|| panic!("no span {name} in {names:?}"))
            .clone()
    }
}

/// Tracing for this thread, as long as the guard lives.
fn tracing_on(memory: &Memory) -> tracing::subscriber::DefaultGuard {
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(memory.clone())
        .build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let filtered = tracing_subscriber::Layer::with_filter(
        layer,
        tracing_subscriber::filter::LevelFilter::INFO,
    );
    tracing::subscriber::set_default(tracing_subscriber::registry().with(filtered))
}

async fn captures(_app: Arc<()>, _task: Task) -> Result<Outcome, TaskError> {
    Ok(Outcome::Done)
}

async fn run_task_of(fixture: &Fixture, root: tracing::Span) {
    async {
        fixture
            .insert_task(fixture.task(1, "capture_payment"))
            .await;
        fixture.publish(vec![fixture.event("a", 1)]).await;
    }
    .instrument(root)
    .await;
    let config = RunnerConfig::default();
    let runner = TaskRunner::new(fixture.db.clone(), Arc::new(()), SeqIds::nth(900), config);
    let runner = Arc::new(runner.handle("capture_payment", captures));
    assert_eq!(runner.run_due().await.unwrap(), 1);
}

#[tokio::test]
async fn a_task_continues_the_trace_of_the_transaction_that_inserted_it() {
    let fixture = Fixture::new().await;
    // Rows carry the database's time; the clock shows the same day.
    fixture
        .clock
        .set(oms_core::Clock::now(&oms_core::SystemClock));
    let memory = Memory::default();
    let tracing = tracing_on(&memory);
    run_task_of(&fixture, tracing::info_span!("PlaceOrder")).await;
    drop(tracing);

    let (root, cause) = (memory.named("PlaceOrder"), memory.named("tx.insert_task"));
    let task = memory.named("task.capture_payment");
    assert_eq!(cause.parent_span_id, root.span_context.span_id());
    assert_eq!(task.span_context.trace_id(), root.span_context.trace_id());
    assert_eq!(task.parent_span_id, cause.span_context.span_id());
    assert_eq!(
        task.links.links[0].span_context.span_id(),
        cause.span_context.span_id()
    );

    let mut conn = fixture.db.read().await.unwrap();
    let batch = feed::read(&mut conn, 0, 1, &Filter::default())
        .await
        .unwrap();
    let stored = TraceContext::parse(&batch.events[0].traceparent);
    let trace_id = root.span_context.trace_id().to_string();
    assert_eq!(stored.trace_id(), Some(trace_id.as_str()));
}

#[tokio::test]
async fn a_task_that_starts_an_hour_later_has_a_linked_trace_of_its_own() {
    let fixture = Fixture::new().await;
    fixture
        .clock
        .set(oms_core::Clock::now(&oms_core::SystemClock));
    let task_time = fixture.task(1, "capture_payment").run_at;
    fixture.clock.set(task_time + Duration::from_hours(2));
    let memory = Memory::default();
    let tracing = tracing_on(&memory);
    run_task_of(&fixture, tracing::info_span!("PlaceOrder")).await;
    drop(tracing);

    let (root, cause) = (memory.named("PlaceOrder"), memory.named("tx.insert_task"));
    let task = memory.named("task.capture_payment");
    assert_ne!(task.span_context.trace_id(), root.span_context.trace_id());
    assert_eq!(
        task.links.links[0].span_context.span_id(),
        cause.span_context.span_id()
    );
}
