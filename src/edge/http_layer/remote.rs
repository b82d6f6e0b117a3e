//! The trace that the caller of a request began, by its W3C `traceparent` header.

use http::HeaderMap;
use opentelemetry::{
    Context,
    propagation::{Extractor, TextMapPropagator},
};
use opentelemetry_sdk::propagation::TraceContextPropagator;

const TRACEPARENT: &str = "traceparent";

/// The caller's context; `None` without a well-formed header.
pub(super) fn context_of(headers: &HeaderMap) -> Option<Context> {
    let traceparent = headers.get(TRACEPARENT)?.as_bytes();
    // The propagator itself takes ids of any length.
    is_well_formed(traceparent).then(|| {
        TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(headers))
    })
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
    use opentelemetry::trace::TraceContextExt;

    fn trace_of(traceparent: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, HeaderValue::from_str(traceparent).unwrap());
        let context = context_of(&headers)?;
        let span = context.span();
        let span = span.span_context();
        span.is_valid().then(|| span.trace_id().to_string())
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
