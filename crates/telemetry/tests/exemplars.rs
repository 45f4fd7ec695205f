//! What a scraper that asks for OpenMetrics reads.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeMap;

use oms_telemetry::TraceContext;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing::info_span;
use tracing_subscriber::layer::SubscriberExt;

const OPEN: &str =
    "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4";

fn with_tracing<T>(sampler: Sampler, work: impl FnOnce() -> T) -> T {
    let provider = SdkTracerProvider::builder().with_sampler(sampler).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work)
}

/// The series of a page with what follows their names; fails at lines that are no OpenMetrics.
fn read(page: &str) -> BTreeMap<&str, &str> {
    let body = page.strip_suffix("# EOF\n").unwrap();
    let mut series = BTreeMap::new();
    for line in body.lines() {
        if line.starts_with("# TYPE ") || line.starts_with("# HELP ") {
            continue;
        }
        let end = line.find("} ").map_or(line.find(' '), |at| Some(at + 1));
        let (name, rest) = line.split_at(end.unwrap());
        let value = rest.split(' ').nth(1).unwrap();
        value.parse::<f64>().unwrap();
        assert_eq!(series.insert(name, rest.trim()), None, "{name} comes twice");
    }
    series
}

#[test]
fn a_bucket_shows_the_trace_of_a_value_that_fell_into_it() {
    let metrics = oms_telemetry::metrics();
    let told =
        |seconds: f64| metrics::histogram!("oms.exemplar_seconds", "name" => "a").record(seconds);
    let trace_id = with_tracing(Sampler::AlwaysOn, || {
        info_span!("slow").in_scope(|| {
            told(0.3);
            told(70.0);
            TraceContext::current().trace_id().unwrap().to_owned()
        })
    });
    with_tracing(Sampler::AlwaysOff, || {
        info_span!("dropped").in_scope(|| {
            told(0.002);
        });
    });
    told(0.02);
    metrics::counter!("oms.exemplar_total").increment(3);
    metrics::counter!("oms.exemplar.errors", "role" => "5").increment(4);

    let page = metrics.page(OPEN);
    assert!(
        page.content_type
            .starts_with("application/openmetrics-text; version=1.0.0")
    );
    let series = read(&page.text);
    let bucket =
        |le: &str| series[&*format!("oms_exemplar_seconds_bucket{{name=\"a\",le=\"{le}\"}}")];
    let exemplar = format!("3 # {{trace_id=\"{trace_id}\"}} 0.3 ");
    assert!(bucket("0.5").starts_with(&exemplar), "{}", bucket("0.5"));
    let at: f64 = bucket("0.5").rsplit(' ').next().unwrap().parse().unwrap();
    assert!(at > 1.0e9);
    let above = format!("4 # {{trace_id=\"{trace_id}\"}} 70 ");
    assert!(bucket("+Inf").starts_with(&above), "{}", bucket("+Inf"));
    // Of what is not exported, and what is in no trace, nothing can be shown.
    assert_eq!(
        (bucket("0.0025"), bucket("0.025"), bucket("60.0")),
        ("1", "2", "3")
    );
    assert_eq!(series["oms_exemplar_seconds_count{name=\"a\"}"], "4");
    // Names are those of the text format.
    assert_eq!(series["oms_exemplar_total"], "3");
    assert_eq!(series["oms_exemplar_errors{role=\"5\"}"], "4");
    assert!(page.text.contains("# TYPE oms_exemplar counter\n"));
    assert!(page.text.contains("# TYPE oms_exemplar_errors unknown\n"));
    assert!(
        page.text
            .contains("# TYPE oms_exemplar_seconds histogram\n")
    );

    let plain = metrics.page("text/plain");
    assert!(plain.content_type.starts_with("text/plain; version=0.0.4"));
    assert!(!plain.text.contains("trace_id"));
    assert!(
        plain
            .text
            .contains("oms_exemplar_seconds_bucket{name=\"a\",le=\"60\"} 3")
    );
}
