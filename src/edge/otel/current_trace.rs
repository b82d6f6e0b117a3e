//! The span that is current on a thread, whoever made it.

use crate::core::trace_link::TraceLink;
use opentelemetry::{Context, trace::TraceContextExt};

/// Where the current span is found in its trace; none if there is none, or it is not sampled.
#[inline]
pub(crate) fn current_trace() -> Option<TraceLink> {
    let of_span = |context: &Context| {
        if !context.has_active_span() {
            return None;
        }
        let span = context.span();
        let span = span.span_context();
        (span.is_valid() && span.is_sampled()).then(|| TraceLink {
            trace_id: span.trace_id().to_bytes(),
            span_id: span.span_id().to_bytes(),
        })
    };
    ALIVE
        .try_with(|_| Context::map_current(of_span))
        .unwrap_or_default()
}

/// On a thread that ends, the SDK's own value may be gone, and asking it would panic.
struct Alive;

impl Drop for Alive {
    fn drop(&mut self) {}
}

thread_local! {
    // Made after the SDK's, and so gone before it: they go in the reverse order.
    static ALIVE: Alive = {
        Context::map_current(|_| ());
        Alive
    };
}
