//! The trace context as text, and spans that go on where it ends.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use time::Duration;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Work that starts later than this after its root gets a trace of its own, linked to the root's:
/// tools keep a trace open for minutes, not days.
pub const ROOT_AGE_MAX: Duration = Duration::hours(1);

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// A W3C `traceparent`, such as `00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01`, as it is
/// kept in rows and sent in headers. Empty when tracing is off.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct TraceContext(String);

impl TraceContext {
    /// The context of the current span.
    pub fn current() -> Self {
        Self::of(&Span::current())
    }

    /// The context of a span.
    pub fn of(span: &Span) -> Self {
        let context = span.context();
        let own = Self::from_otel(context.span().span_context());
        if !own.is_empty() {
            return own;
        }
        // A span below the level that is exported has no context: the one around it stands in.
        Self::from_otel(Context::current().span().span_context())
    }

    /// Reads a stored or received text. What is no `traceparent` gives the empty context: a broken
    /// trace never stops work.
    pub fn parse(text: &str) -> Self {
        read(text).map_or_else(Self::default, |context| Self::from_otel(&context))
    }

    /// Takes the context from the headers of a request.
    pub fn extract(headers: &HeaderMap) -> Self {
        let text = headers
            .get(TRACEPARENT)
            .and_then(|value| value.to_str().ok());
        text.map_or_else(Self::default, Self::parse)
    }

    /// Puts the context into the headers of a request; an empty one leaves them alone.
    pub fn inject(&self, headers: &mut HeaderMap) {
        if self.is_empty() {
            return;
        }
        if let Ok(value) = HeaderValue::from_str(&self.0) {
            headers.insert(TRACEPARENT, value);
        }
    }

    /// Whether there is no trace to go on with.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text for a row; empty when tracing is off.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The trace id: 32 hexadecimal digits, as tracing tools and logs show it.
    pub fn trace_id(&self) -> Option<&str> {
        self.0.split('-').nth(1)
    }

    /// Whether the trace is exported.
    pub fn is_sampled(&self) -> bool {
        self.0.ends_with("-01")
    }

    fn from_otel(context: &SpanContext) -> Self {
        if !context.is_valid() {
            return Self::default();
        }
        let flags = context.trace_flags() & TraceFlags::SAMPLED;
        let (trace, span) = (context.trace_id(), context.span_id());
        Self(format!("00-{trace}-{span}-{flags:02x}"))
    }
}

impl From<TraceContext> for String {
    fn from(context: TraceContext) -> Self {
        context.0
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Makes the span a child of a remote one: for the receiving side of a call, whose caller waits.
/// Must come before the span is entered. An empty context changes nothing.
pub fn set_remote_parent(span: &Span, context: &TraceContext) {
    if let Some(remote) = read(context.as_str()) {
        let parent = Context::new().with_remote_span_context(remote);
        // Fails when tracing is off or the span is disabled: then there is nothing to connect.
        span.set_parent(parent).ok();
    }
}

/// Makes the span a child of the one that caused it **and** links it: for work found in a row, which
/// its cause does not wait for. Must come before the span is entered. An empty context changes nothing.
pub fn continue_from(span: &Span, cause: &TraceContext) {
    set_remote_parent(span, cause);
    link(span, cause);
}

/// Like [`continue_from`], unless the root of the trace is older than [`ROOT_AGE_MAX`]: then the
/// span is the root of a new trace that is linked to its cause.
pub fn continue_or_link(span: &Span, cause: &TraceContext, root_age: Duration) {
    if root_age <= ROOT_AGE_MAX {
        continue_from(span, cause);
        return;
    }
    // A parent that is no span also detaches this one from the loop that found the work.
    let parent = match read(cause.as_str()) {
        Some(cause) => Context::new().with_value(LinkedTrace(cause.trace_id())),
        None => Context::new(),
    };
    span.set_parent(parent).ok();
    link(span, cause);
}

/// What the current trace goes on with. Children of the span that has the link find it in their context.
struct LinkedTrace(TraceId);

/// Id of the trace that the current one goes on with, when this process began the current one by
/// [`continue_or_link`]; else empty.
pub fn linked_trace_id() -> String {
    // The second for spans below the level that is exported, as in [`TraceContext::of`].
    let contexts = [Span::current().context(), Context::current()];
    let linked = contexts
        .iter()
        .find_map(|context| context.get::<LinkedTrace>());
    linked.map_or_else(String::new, |linked| linked.0.to_string())
}

fn link(span: &Span, cause: &TraceContext) {
    if let Some(cause) = read(cause.as_str()) {
        span.add_link(cause);
    }
}

/// Reads a `traceparent` as strictly as the W3C recommendation asks; later versions may carry more
/// fields at the end.
fn read(text: &str) -> Option<SpanContext> {
    let mut fields = text.split('-');
    let version = fields
        .next()
        .filter(|field| is_hex(field, 2) && *field != "ff")?;
    let trace = fields.next().filter(|field| is_hex(field, 32))?;
    let span = fields.next().filter(|field| is_hex(field, 16))?;
    let flags = fields.next().filter(|field| is_hex(field, 2))?;
    if version == "00" && fields.next().is_some() {
        return None;
    }
    let context = SpanContext::new(
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED,
        true,
        TraceState::NONE,
    );
    context.is_valid().then_some(context)
}

fn is_hex(field: &str, len: usize) -> bool {
    field.len() == len
        && field
            .bytes()
            .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn reads_what_it_writes() {
        let context = TraceContext::parse(TEXT);
        assert_eq!(context.as_str(), TEXT);
        assert_eq!(context.trace_id(), Some("0af7651916cd43dd8448eb211c80319c"));
        let unsampled = TEXT.replace("-01", "-00");
        assert_eq!(TraceContext::parse(&unsampled).as_str(), unsampled);
    }

    #[test]
    fn later_versions_are_read_as_far_as_they_are_known() {
        let later = format!("cc-{}-what-comes", &TEXT[3..]);
        assert_eq!(TraceContext::parse(&later).as_str(), TEXT);
    }

    #[test]
    fn what_is_no_traceparent_is_empty() {
        for wrong in [
            "",
            "00",
            &TEXT[..54],
            &format!("{TEXT}-x"),
            &TEXT.replace("00-", "ff-"),
            &TEXT.to_uppercase(),
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b71692033310-01",
        ] {
            assert!(TraceContext::parse(wrong).is_empty(), "{wrong:?}");
        }
    }

    #[test]
    fn headers_carry_it() {
        let mut headers = HeaderMap::new();
        TraceContext::default().inject(&mut headers);
        assert!(headers.is_empty());
        assert!(TraceContext::extract(&headers).is_empty());
        TraceContext::parse(TEXT).inject(&mut headers);
        assert_eq!(headers["traceparent"], TEXT);
        assert_eq!(TraceContext::extract(&headers).as_str(), TEXT);
    }

    #[test]
    fn without_tracing_nothing_happens() {
        let span = tracing::info_span!("off");
        continue_from(&span, &TraceContext::parse(TEXT));
        assert!(TraceContext::of(&span).is_empty());
        assert!(TraceContext::current().is_empty());
    }
}
