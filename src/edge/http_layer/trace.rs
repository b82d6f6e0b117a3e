//! The trace that a request belongs to: that of its caller, by the W3C `traceparent` header, or a
//! new one; and whether it is sampled, which is decided here, before the request has a span.

use crate::{
    config::TraceSampling,
    core::{
        measurement::Method,
        random::random,
        trace_link::{Decided, TraceLink},
    },
    names::OTHER,
};
use http::{HeaderMap, Request, Version, header, uri::Authority};
use opentelemetry::{
    Context, SpanId, TraceFlags, TraceId,
    propagation::{Extractor, TextMapPropagator},
    trace::{SpanContext, TraceContextExt, TraceState},
};
use opentelemetry_sdk::propagation::TraceContextPropagator;

const TRACEPARENT: &str = "traceparent";

/// The context that the request's span is made in.
///
/// A trace that is not sampled has no spans here. What it is goes along in this context all the
/// same, so that those who are called next learn of it, and that it is not sampled.
///
/// `None` where this process has begun a trace already: that one goes on.
pub(super) fn context_for(headers: &HeaderMap, sampling: TraceSampling) -> Option<Context> {
    if Context::map_current(TraceContextExt::has_active_span) {
        return None;
    }
    let current = Context::current();
    let caller = caller_of(headers);
    let low = random();
    let told = caller.as_ref().map(|caller| {
        let trace = u128::from_be_bytes(caller.trace_id().to_bytes());
        (caller.is_sampled(), trace as u64)
    });
    let sampled = sampling.samples(told, low);
    let remote = match caller {
        // A sampler of the host's own tracer provider may look at the flag.
        Some(caller) => Some(SpanContext::new(
            caller.trace_id(),
            caller.span_id(),
            caller.trace_flags().with_sampled(sampled),
            true,
            caller.trace_state().clone(),
        )),
        // One that begins here gets its id from the SDK.
        None if sampled => None,
        None => Some(SpanContext::new(
            TraceId::from(u128::from(random()) << 64 | u128::from(low)),
            SpanId::from(random()),
            TraceFlags::NOT_SAMPLED,
            true,
            TraceState::NONE,
        )),
    };
    let context = match remote {
        Some(remote) => current.with_remote_span_context(remote),
        None => current,
    };
    Some(context.with_value(Decided { sampled }))
}

/// The id of the trace that a request belongs to, in hexadecimal digits: that of its span, or of
/// what is around it.
pub(super) fn id_of(span: Option<TraceLink>, around: Option<&Context>) -> Option<String> {
    let told = || {
        let span = around?.span();
        let span = span.span_context();
        span.is_valid().then(|| span.trace_id().to_string())
    };
    span.and_then(|link| link.trace_text()).or_else(told)
}

/// What a sampled span says of its request besides what is measured, as the HTTP conventions ask.
/// A query is not among it: it may hold keys.
#[derive(Debug, Default)]
pub(super) struct Shown<'r> {
    pub(super) name: Option<String>,
    /// The method, if it is not a known one.
    pub(super) method_original: Option<&'r str>,
    pub(super) scheme: Option<&'r str>,
    pub(super) path: Option<&'r str>,
    /// What the client took the gateway for.
    pub(super) address: Option<Authority>,
    pub(super) version: Option<&'static str>,
}

impl<'r> Shown<'r> {
    /// Nothing of a request whose trace is not sampled.
    pub(super) fn of<B>(request: &'r Request<B>, route: Option<&str>, method: Method) -> Self {
        let unsampled = Context::map_current(|context| match context.get() {
            Some(Decided { sampled }) => !sampled,
            None => !context.span().span_context().is_sampled(),
        });
        if unsampled {
            return Self::default();
        }
        let is_known = method.text() != OTHER;
        let verb = if is_known { method.text() } else { "HTTP" };
        let host = request.headers().get(header::HOST);
        Self {
            name: Some(match route {
                Some(route) => format!("{verb} {route}"),
                None => verb.to_owned(),
            }),
            method_original: (!is_known).then(|| cut(request.method().as_str())),
            scheme: Some(request.uri().scheme_str().unwrap_or("http")),
            path: Some(cut(request.uri().path())),
            address: request
                .uri()
                .authority()
                .cloned()
                .or_else(|| Authority::try_from(host?.as_bytes()).ok())
                .filter(|address| address.host().len() <= LONGEST),
            version: match request.version() {
                Version::HTTP_10 => Some("1.0"),
                Version::HTTP_11 => Some("1.1"),
                Version::HTTP_2 => Some("2"),
                Version::HTTP_3 => Some("3"),
                _ => None,
            },
        }
    }
}

/// What a span says of a request is no longer than this, in bytes.
const LONGEST: usize = 1_024;

fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(LONGEST))
        .unwrap_or_default()
}

/// The span of the caller; `None` without a well-formed header.
fn caller_of(headers: &HeaderMap) -> Option<SpanContext> {
    let traceparent = headers.get(TRACEPARENT)?.as_bytes();
    // The propagator itself takes ids of any length.
    if !is_well_formed(traceparent) {
        return None;
    }
    let propagator = TraceContextPropagator::new();
    let context = propagator.extract_with_context(&Context::new(), &Headers(headers));
    let span = context.span();
    let span = span.span_context();
    span.is_valid().then(|| span.clone())
}

/// Version, trace id, span id and flags in hexadecimal; a later version may add to them.
fn is_well_formed(traceparent: &[u8]) -> bool {
    let (known, added) = match traceparent.split_at_checked(55) {
        Some(split) => split,
        None => return false,
    };
    let shape_fits = known.iter().enumerate().all(|(at, byte)| match at {
        2 | 35 | 52 => *byte == b'-',
        _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
    });
    shape_fits && (added.is_empty() || added.starts_with(b"-"))
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn trace_of(traceparent: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, HeaderValue::from_str(traceparent).unwrap());
        let caller = caller_of(&headers)?;
        Some(caller.trace_id().to_string())
    }

    #[test]
    fn a_well_formed_header_names_a_trace_and_any_other_is_ignored() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let trace = Some("0af7651916cd43dd8448eb211c80319c".to_owned());
        assert_eq!(trace_of(good), trace);
        assert_eq!(
            trace_of(&format!("cc{}-later", good.trim_start_matches("00"))),
            trace
        );
        for bad in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01more",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(trace_of(bad), None, "{bad}");
        }
    }
}
