//! Metrics of this process, as Prometheus reads them.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use crate::exemplars::{Exemplars, TracingRecorder};

/// Upper bounds of every histogram whose name ends in `_seconds`.
pub const DURATION_BUCKETS_SECS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// Upper bounds of every histogram whose name ends in `_size`, such as batches and lines.
pub const SIZE_BUCKETS: &[f64] = &[
    1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1_024.0, 2_048.0,
];

/// Renders the metrics that this process recorded with the macros of `metrics`.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
    exemplars: Exemplars,
}

/// A page of metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Its content type.
    pub content_type: &'static str,
    /// Its text.
    pub text: String,
}

impl Metrics {
    /// All metrics in the Prometheus text format.
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// All metrics as an `Accept` header asks for them: in OpenMetrics with exemplars, or else in the Prometheus text format.
    pub fn page(&self, accept: &str) -> Page {
        let text = self.render();
        if !accept.contains("application/openmetrics-text") {
            let content_type = "text/plain; version=0.0.4; charset=utf-8";
            return Page { content_type, text };
        }
        Page {
            content_type: "application/openmetrics-text; version=1.0.0; charset=utf-8",
            text: self.exemplars.open_metrics(&text),
        }
    }

    fn of(recorder: &TracingRecorder) -> Self {
        Self {
            handle: recorder.inner.handle(),
            exemplars: recorder.exemplars.clone(),
        }
    }

    /// Folds recorded values into histograms. [`crate::start`] does this regularly, because values
    /// nobody scrapes would pile up.
    pub(crate) fn upkeep(&self) {
        self.handle.run_upkeep();
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

/// The metrics of this process; the first call starts their recording. The recorder of `metrics` is
/// one per process, so all services that share a process share it.
pub fn metrics() -> Metrics {
    static METRICS: OnceLock<Metrics> = OnceLock::new();
    METRICS.get_or_init(install).clone()
}

fn install() -> Metrics {
    let recorder = recorder().unwrap_or_else(|_| traced(PrometheusBuilder::new()));
    let metrics = Metrics::of(&recorder);
    if ::metrics::set_global_recorder(recorder).is_err() {
        tracing::warn!("another metrics recorder is installed, metrics will be empty");
    }
    metrics
}

/// Fails only for empty buckets, which the constants above are not.
fn recorder() -> Result<TracingRecorder, BuildError> {
    let durations = Matcher::Suffix("_seconds".to_owned());
    let sizes = Matcher::Suffix("_size".to_owned());
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(durations, DURATION_BUCKETS_SECS)?
        .set_buckets_for_metric(sizes, SIZE_BUCKETS)?;
    Ok(traced(builder))
}

fn traced(builder: PrometheusBuilder) -> TracingRecorder {
    TracingRecorder {
        inner: builder.build_recorder(),
        exemplars: Exemplars::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_histograms() {
        let recorder = recorder().unwrap();
        let metrics = Metrics::of(&recorder);
        ::metrics::with_local_recorder(&recorder, || {
            ::metrics::counter!("oms.order.orders.placed", "channel" => "web").increment(2);
            ::metrics::histogram!("oms.tx.duration_seconds", "name" => "place_order").record(0.02);
            ::metrics::histogram!("oms.feed.batch_size").record(3.0);
        });
        metrics.upkeep();
        let text = metrics.render();
        for line in [
            "oms_order_orders_placed{channel=\"web\"} 2",
            "oms_tx_duration_seconds_bucket{name=\"place_order\",le=\"0.025\"} 1",
            "oms_tx_duration_seconds_bucket{name=\"place_order\",le=\"0.01\"} 0",
            "oms_feed_batch_size_bucket{le=\"4\"} 1",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn the_recorder_is_installed_once() {
        metrics();
        ::metrics::counter!("oms.twice").increment(1);
        assert!(metrics().render().contains("oms_twice 1"));
    }
}
