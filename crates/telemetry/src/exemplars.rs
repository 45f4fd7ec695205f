//! Exemplars: beside every bucket of a histogram of seconds, the trace of a value that fell into it.
//!
//! The library behind [`crate::metrics`] counts values without their traces. [`Exemplars`] stands before it, keeps a trace per
//! bucket, and writes them into its text, which becomes OpenMetrics by that.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use metrics::{
    Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use metrics_exporter_prometheus::PrometheusRecorder;
use oms_core::{Clock as _, SystemClock};

use crate::TraceContext;
use crate::metrics::DURATION_BUCKETS_SECS;

/// A bucket takes another trace when its last is older than this: a histogram costs no more on a busy day.
const AGE_MIN_MILLIS: i64 = 1_000;

/// A value and the trace in which it was measured.
#[derive(Debug, Clone)]
struct Exemplar {
    trace_id: String,
    value: f64,
    at_millis: i64,
}

/// What a bucket keeps.
#[derive(Debug, Default)]
struct Bucket {
    kept_at_millis: AtomicI64,
    kept: Mutex<Option<Exemplar>>,
}

/// The buckets of one series of a histogram.
#[derive(Debug)]
struct Buckets(Vec<Bucket>);

impl Buckets {
    fn new() -> Self {
        // One more for what is above all bounds.
        let buckets = DURATION_BUCKETS_SECS.iter().chain([&f64::INFINITY]);
        Self(buckets.map(|_| Bucket::default()).collect())
    }

    fn keep(&self, value: f64) {
        let at = DURATION_BUCKETS_SECS.partition_point(|bound| *bound < value);
        let now = SystemClock.now().unix_timestamp_nanos() / 1_000_000;
        let (Some(bucket), Ok(now)) = (self.0.get(at), i64::try_from(now)) else {
            return;
        };
        if now - bucket.kept_at_millis.load(Ordering::Relaxed) < AGE_MIN_MILLIS {
            return;
        }
        let context = TraceContext::current();
        let Some(trace_id) = context.trace_id().filter(|_| context.is_sampled()) else {
            return;
        };
        bucket.kept_at_millis.store(now, Ordering::Relaxed);
        let mut kept = bucket.kept.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = Some(Exemplar {
            trace_id: trace_id.to_owned(),
            value,
            at_millis: now,
        });
    }
}

/// A histogram that keeps traces.
struct Traced {
    counted: Histogram,
    buckets: Arc<Buckets>,
}

impl HistogramFn for Traced {
    fn record(&self, value: f64) {
        self.counted.record(value);
        self.buckets.keep(value);
    }
}

/// The exemplars of this process, by series.
#[derive(Debug, Clone, Default)]
pub(crate) struct Exemplars(Arc<RwLock<HashMap<Key, Arc<Buckets>>>>);

impl Exemplars {
    fn buckets(&self, key: &Key) -> Arc<Buckets> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(buckets) = known.get(key) {
            return Arc::clone(buckets);
        }
        drop(known);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let buckets = known.entry(key.clone());
        Arc::clone(buckets.or_insert_with(|| Arc::new(Buckets::new())))
    }

    /// What is kept, by the series of the bucket as the text names it.
    fn by_series(&self) -> HashMap<String, Exemplar> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut found = HashMap::new();
        for (key, buckets) in known.iter() {
            let mut series = format!("{}_bucket{{", key.name().replace('.', "_"));
            for label in key.labels() {
                // Writing to a string does not fail.
                let _ = write!(series, "{}=\"{}\",", label.key(), label.value());
            }
            let bounds = DURATION_BUCKETS_SECS.iter().map(f64::to_string);
            let bounds = bounds.chain(["+Inf".to_owned()]);
            for (bucket, bound) in buckets.0.iter().zip(bounds) {
                let kept = bucket.kept.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(kept) = kept.clone() {
                    found.insert(format!("{series}le=\"{bound}\"}}"), kept);
                }
            }
        }
        found
    }

    /// The Prometheus text as OpenMetrics, with exemplars. Names stay: a counter whose name does not end in `_total`, as
    /// OpenMetrics wants it, is of type `unknown`.
    pub(crate) fn open_metrics(&self, text: &str) -> String {
        let exemplars = self.by_series();
        let mut written = String::with_capacity(text.len() + 96 * exemplars.len());
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(about) = line.strip_prefix("# ") {
                write_about(&mut written, about);
                continue;
            }
            let (series, value) = line.rsplit_once(' ').unwrap_or((line, ""));
            let _ = write!(written, "{} {value}", canonical(series));
            if let Some(kept) = exemplars.get(series) {
                let (seconds, millis) = (kept.at_millis / 1_000, kept.at_millis % 1_000);
                let (trace_id, value) = (&kept.trace_id, kept.value);
                let _ = write!(
                    written,
                    " # {{trace_id=\"{trace_id}\"}} {value} {seconds}.{millis:03}"
                );
            }
            written.push('\n');
        }
        written.push_str("# EOF\n");
        written
    }
}

/// A `TYPE` or `HELP` line: OpenMetrics names counters without `_total` there.
fn write_about(written: &mut String, about: &str) {
    let mut words = about.splitn(3, ' ');
    let (what, name) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let said = words.next().unwrap_or("");
    let family = name.strip_suffix("_total").unwrap_or(name);
    let said = if what == "TYPE" && said == "counter" && family == name {
        "unknown"
    } else {
        said
    };
    let _ = writeln!(written, "# {what} {family} {said}");
}

/// A series with its bound as OpenMetrics writes numbers: 60 is `60.0`.
fn canonical(series: &str) -> String {
    let bound = series.strip_suffix("\"}").and_then(|series| {
        let (before, bound) = series.rsplit_once("le=\"")?;
        // Other labels may end in these letters.
        let is_bound = before.ends_with(['{', ',']);
        Some((before, bound.parse::<f64>().ok().filter(|_| is_bound)?))
    });
    match bound {
        Some((before, bound)) if bound.is_finite() => format!("{before}le=\"{bound:?}\"}}"),
        _ => series.to_owned(),
    }
}

/// The recorder of the library, with exemplars beside its histograms of seconds.
pub(crate) struct TracingRecorder {
    pub(crate) inner: PrometheusRecorder,
    pub(crate) exemplars: Exemplars,
}

impl Recorder for TracingRecorder {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.inner.describe_counter(key, unit, description);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.inner.describe_gauge(key, unit, description);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.inner.describe_histogram(key, unit, description);
    }

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        self.inner.register_counter(key, metadata)
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        self.inner.register_gauge(key, metadata)
    }

    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
        let counted = self.inner.register_histogram(key, metadata);
        if !key.name().ends_with("_seconds") {
            return counted;
        }
        let buckets = self.exemplars.buckets(key);
        Histogram::from_arc(Arc::new(Traced { counted, buckets }))
    }
}
