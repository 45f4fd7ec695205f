//! Start and stop.

use std::env;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::tonic_types::transport::ClientTlsConfig;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider};
use serde::Deserialize;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, Registry};

use crate::log::{self, BoxedLayer, LogFormat};
use crate::metrics::{Metrics, metrics};

const ENDPOINT_VAR: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
/// Spans waiting for export; more are dropped. Eight times the default: a burst of orders makes
/// thousands of spans within one export interval.
const QUEUED_SPANS_MAX: usize = 16_384;
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// What is logged and where traces go.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryConfig {
    /// How log lines look: `auto`, `json` or `text`.
    pub format: LogFormat,
    /// What is logged, as `RUST_LOG` writes it (`info,oms_order=debug`); that variable, when set, wins.
    pub filter: String,
    /// Where traces are sent by OTLP over gRPC, such as `http://collector:4317`; `https://` is checked against the roots of the
    /// system. When empty, the variable `OTEL_EXPORTER_OTLP_ENDPOINT` decides; when that is empty too, there are no traces.
    pub otlp_endpoint: String,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            format: LogFormat::Auto,
            filter: "info".to_owned(),
            otlp_endpoint: String::new(),
        }
    }
}

/// Telemetry cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log filter is malformed.
    #[error("log filter is malformed: {0}")]
    Filter(#[from] ParseError),
    /// The OTLP endpoint is malformed.
    #[error("trace exporter cannot be made: {0}")]
    Exporter(#[from] ExporterBuildError),
    /// Telemetry runs in this process already.
    #[error("telemetry is running already: {0}")]
    Running(#[from] TryInitError),
    /// `start` was called outside a Tokio runtime.
    #[error("telemetry needs a tokio runtime")]
    NoRuntime,
}

/// Starts logs, traces and metrics for this process, once, from within a Tokio runtime.
/// `service_name` is the `service.name` of its traces and the `service` of its log lines.
pub fn start(service_name: &str, config: &TelemetryConfig) -> Result<Guard, Error> {
    let runtime = Handle::try_current().map_err(|_| Error::NoRuntime)?;
    let filter = match env::var(EnvFilter::DEFAULT_ENV) {
        Ok(text) if !text.is_empty() => EnvFilter::try_new(text)?,
        _ => EnvFilter::try_new(&config.filter)?,
    };
    let provider = match endpoint(config) {
        Some(endpoint) => Some(exporting_provider(service_name, endpoint)?),
        None => None,
    };
    let traces: Option<BoxedLayer<Registry>> = provider.as_ref().map(trace_layer);
    tracing_subscriber::registry()
        .with(traces)
        .with(log::layer(config.format, service_name).with_filter(filter))
        .try_init()?;
    let metrics = metrics();
    let upkeep = runtime.spawn(upkeep(metrics.clone()));
    Ok(Guard {
        provider,
        metrics,
        upkeep,
    })
}

fn endpoint(config: &TelemetryConfig) -> Option<String> {
    let configured = Some(config.otlp_endpoint.clone()).filter(|endpoint| !endpoint.is_empty());
    configured.or_else(|| {
        env::var(ENDPOINT_VAR)
            .ok()
            .filter(|endpoint| !endpoint.is_empty())
    })
}

fn exporting_provider(service_name: &str, endpoint: String) -> Result<SdkTracerProvider, Error> {
    let is_secure = endpoint.starts_with("https://");
    let mut exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint);
    if is_secure {
        exporter = exporter.with_tls_config(ClientTlsConfig::new().with_native_roots());
    }
    let exporter = exporter.build()?;
    let config = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUED_SPANS_MAX)
        .build();
    let processor = BatchSpanProcessor::builder(exporter)
        .with_batch_config(config)
        .build();
    let resource = Resource::builder()
        .with_service_name(service_name.to_owned())
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    Ok(SdkTracerProvider::builder()
        .with_span_processor(processor)
        .with_resource(resource)
        .build())
}

/// The layer that turns spans into OpenTelemetry's. It has a level of its own: less logging must not
/// tear holes into traces.
pub(crate) fn trace_layer<S>(provider: &SdkTracerProvider) -> BoxedLayer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("oms"))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_filter(LevelFilter::INFO)
        .boxed()
}

async fn upkeep(metrics: Metrics) {
    loop {
        tokio::time::sleep(UPKEEP_INTERVAL).await;
        metrics.upkeep();
    }
}

/// Keeps telemetry running. Dropping it sends what is left, blocking the thread for up to five
/// seconds; [`Guard::shutdown`] does the same without blocking. Both need the runtime to be alive.
#[must_use = "dropping the guard ends telemetry"]
#[derive(Debug)]
pub struct Guard {
    provider: Option<SdkTracerProvider>,
    metrics: Metrics,
    upkeep: JoinHandle<()>,
}

impl Guard {
    /// The metrics of this process.
    pub fn metrics(&self) -> Metrics {
        self.metrics.clone()
    }

    /// Sends the spans that have ended so far.
    pub async fn flush(&self) {
        if let Some(provider) = self.provider.clone() {
            // The call waits for the exporter's thread.
            let flushed = tokio::task::spawn_blocking(move || provider.force_flush()).await;
            if let Ok(Err(error)) = flushed {
                tracing::warn!(%error, "traces could not be sent");
            }
        }
    }

    /// Sends what is left and ends telemetry.
    pub async fn shutdown(mut self) {
        if let Some(provider) = self.provider.take() {
            tokio::task::spawn_blocking(move || end(&provider))
                .await
                .ok();
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.upkeep.abort();
        if let Some(provider) = self.provider.take() {
            end(&provider);
        }
    }
}

fn end(provider: &SdkTracerProvider) {
    if let Err(error) = provider.shutdown_with_timeout(FLUSH_TIMEOUT) {
        tracing::warn!(%error, "traces could not be sent");
    }
}
