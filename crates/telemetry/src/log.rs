//! Log lines: JSON for machines, text for people.

use std::fmt;
use std::io::{IsTerminal, stderr};

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt;
use serde::Deserialize;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, fmt as layers};

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// One JSON object a line, with trace and span id.
    Json,
    /// Text for people.
    Text,
}

pub(crate) type BoxedLayer<S> = Box<dyn Layer<S> + Send + Sync>;

/// The layer that writes log lines to standard error; standard output belongs to the results of
/// commands.
pub(crate) fn layer<S>(format: LogFormat, service: &str) -> BoxedLayer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    match format {
        LogFormat::Json => json(service, stderr),
        LogFormat::Auto if !stderr().is_terminal() => json(service, stderr),
        LogFormat::Auto | LogFormat::Text => layers::layer()
            .compact()
            .with_ansi(stderr().is_terminal())
            .with_writer(stderr)
            .boxed(),
    }
}

fn json<S, W>(service: &str, writer: W) -> BoxedLayer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let service = service.to_owned();
    layers::layer()
        .fmt_fields(JsonFields::new())
        .event_format(Json { service })
        .with_writer(writer)
        .boxed()
}

/// One flat object a line: the fields of all spans around the event from the outermost in, the
/// event's own fields, then what every line has. A later value of the same name wins.
struct Json {
    service: String,
}

impl<S> FormatEvent<S, JsonFields> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Map::new();
        for span in ctx
            .event_scope()
            .into_iter()
            .flat_map(tracing_subscriber::registry::Scope::from_root)
        {
            let extensions = span.extensions();
            let fields = extensions.get::<FormattedFields<JsonFields>>();
            if let Some(Ok(fields)) = fields.map(|fields| serde_json::from_str(fields)) {
                let mut fields: Map<String, Value> = fields;
                line.append(&mut fields);
            }
            line.insert("span".to_owned(), span.name().into());
        }
        event.record(&mut Fields(&mut line));
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let mut put = |name: &str, value: String| line.insert(name.to_owned(), value.into());
        put("time", time);
        put("level", event.metadata().level().to_string());
        put("target", event.metadata().target().to_owned());
        put("service", self.service.clone());
        let context = Context::current();
        let context = context.span().span_context().clone();
        if context.is_valid() {
            put("trace_id", context.trace_id().to_string());
            put("span_id", context.span_id().to_string());
        }
        writeln!(writer, "{}", Value::Object(line))
    }
}

/// Collects the fields of an event.
struct Fields<'a>(&'a mut Map<String, Value>);

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_are_flat_objects_with_the_fields_of_their_spans() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::registry().with(json("order", move || writer.clone()));
        tracing::subscriber::with_default(subscriber, || {
            let outer = tracing::info_span!(
                "place_order",
                oms.order.id = tracing::field::Empty,
                step = 1
            );
            crate::record_order_id(&outer, "o-1");
            let _outer = outer.entered();
            let _inner = tracing::info_span!("reserve", step = 2).entered();
            tracing::warn!(attempt = 3, "peer is \"slow\"");
        });
        let bytes = lines.0.lock().unwrap().clone();
        let line: Value = serde_json::from_slice(&bytes).unwrap();
        for (name, value) in [
            ("message", "peer is \"slow\"".into()),
            ("level", "WARN".into()),
            ("service", "order".into()),
            ("span", "reserve".into()),
            ("oms.order.id", "o-1".into()),
            ("step", 2.into()),
            ("attempt", 3.into()),
        ] {
            assert_eq!(line[name], Value::clone(&value), "{name}");
        }
        assert!(
            line["time"]
                .as_str()
                .is_some_and(|time| time.ends_with('Z'))
        );
        assert!(line.get("trace_id").is_none());
    }

    #[test]
    fn lines_name_the_trace_they_belong_to() {
        let lines = Lines::default();
        let writer = lines.clone();
        let provider = opentelemetry_sdk::trace::SdkTracerProvider::default();
        let subscriber = tracing_subscriber::registry()
            .with(crate::guard::trace_layer(&provider))
            .with(json("order", move || writer.clone()));
        let context = tracing::subscriber::with_default(subscriber, || {
            tracing::info_span!("place_order").in_scope(|| {
                tracing::info!("placed");
                crate::TraceContext::current()
            })
        });
        let bytes = lines.0.lock().unwrap().clone();
        let line: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(line["trace_id"].as_str(), context.trace_id());
        assert!(context.as_str().contains(line["span_id"].as_str().unwrap()));
    }
}
