//! The part of the layer that hands sampled spans to `tracing-opentelemetry`.
//!
//! What is not sampled must be kept from it by somebody in front, since it costs the same whatever
//! the SDK's sampler then decides. A per-layer filter in front would look every span up again for
//! each callback, so the decision is made here, and remembered for the sampled spans only.

use crate::{
    config::TraceSampling,
    core::{
        open::OpenTable,
        random::random,
        recorder::Recorder,
        trace_link::{Decided, TraceLink},
    },
    names::LOG_TARGET,
};
use opentelemetry::{Context as OtelContext, trace::TraceContextExt};
use opentelemetry_sdk::trace::SdkTracer;
use std::sync::atomic::{AtomicU8, Ordering};
use tracing_core::{
    Event, Level, Metadata, Subscriber,
    span::{Attributes, Id, Record},
};
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

/// Counters that tell at a glance which spans are certainly not sampled.
const GLANCE: usize = 4_096;

/// Crates that an exporter itself is made of: their spans would feed back.
const OWN_TRANSPORT: [&str; 7] = [
    "opentelemetry",
    "tonic",
    "h2",
    "hyper",
    "hyper_util",
    "reqwest",
    "tower",
];

pub(crate) struct Traces<S> {
    layer: OpenTelemetryLayer<S, SdkTracer>,
    sampling: TraceSampling,
    /// Where each is found in its trace, once it was entered.
    sampled: OpenTable<Option<TraceLink>>,
    current_trace: fn() -> Option<TraceLink>,
    glance: Box<[AtomicU8]>,
}

impl<S> std::fmt::Debug for Traces<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Traces")
            .field("sampling", &self.sampling)
            .finish_non_exhaustive()
    }
}

/// Whether a callsite is traced at all: `INFO` and above, not of an exporter's own transport, and
/// not what the monitor says of itself.
pub(super) fn is_traced(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    let root = target.split("::").next().unwrap_or_default();
    *metadata.level() <= Level::INFO && target != LOG_TARGET && !OWN_TRANSPORT.contains(&root)
}

impl<S> Traces<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    pub(crate) fn new(
        tracer: SdkTracer,
        sampling: TraceSampling,
        max_open: usize,
        recorder: &Recorder,
    ) -> Self {
        Self {
            layer: tracing_opentelemetry::layer()
                .with_tracer(tracer)
                .with_location(false)
                .with_threads(false),
            sampling,
            sampled: OpenTable::new(max_open, &recorder.open_bytes),
            current_trace: recorder.current_trace,
            glance: std::iter::repeat_with(AtomicU8::default)
                .take(GLANCE)
                .collect(),
        }
    }

    pub(super) fn on_new_span(
        &self,
        attributes: &Attributes<'_>,
        id: &Id,
        context: Context<'_, S>,
    ) {
        let sampled = match attributes.parent() {
            Some(parent) => self.is_sampled(parent),
            None if attributes.is_contextual() => match context.current_span().id() {
                Some(parent) => self.is_sampled(parent),
                None => self.samples_root(),
            },
            None => self.sampling.samples(None, random()),
        };
        if sampled && self.sampled.insert(id.into_u64(), None) {
            if let Some(count) = self.glance_at(id) {
                // A counter that is full stays so: a wrong glance only costs the exact look.
                count
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_add(1))
                    .ok();
            }
            self.layer.on_new_span(attributes, id, context);
        }
    }

    pub(super) fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if self.is_sampled(id) {
            self.layer.on_record(id, values, context);
        }
    }

    pub(super) fn on_event(&self, event: &Event<'_>, direct: Option<u64>, context: Context<'_, S>) {
        if direct.is_some_and(|id| self.is_sampled(&Id::from_u64(id))) {
            self.layer.on_event(event, context);
        }
    }

    pub(super) fn on_follows_from(&self, id: &Id, follows: &Id, context: Context<'_, S>) {
        if self.is_sampled(id) && self.is_sampled(follows) {
            self.layer.on_follows_from(id, follows, context);
        }
    }

    pub(super) fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        let Some(link) = self.sampled_at(id) else {
            return;
        };
        self.layer.on_enter(id, context);
        if link.is_none() {
            // Only what is current tells which span of which trace it has become.
            let current = (self.current_trace)();
            self.sampled.with(id.into_u64(), |link| *link = current);
        }
    }

    pub(super) fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        if self.is_sampled(id) {
            self.layer.on_exit(id, context);
        }
    }

    /// The span ends; where it is found in its trace, if it was ever entered.
    pub(super) fn on_close(&self, id: &Id, context: Context<'_, S>) -> Option<TraceLink> {
        if !self.is_sampled(id) {
            return None;
        }
        self.layer.on_close(id.clone(), context);
        let link = self.sampled.remove(id.into_u64()).flatten();
        if let Some(count) = self.glance_at(id) {
            count
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| {
                    (n < u8::MAX).then(|| n.saturating_sub(1))
                })
                .ok();
        }
        link
    }

    #[inline]
    fn is_sampled(&self, id: &Id) -> bool {
        self.sampled_at(id).is_some()
    }

    /// If it is sampled, where it is found as far as is known.
    #[inline]
    fn sampled_at(&self, id: &Id) -> Option<Option<TraceLink>> {
        let maybe = self
            .glance_at(id)
            .is_some_and(|count| count.load(Ordering::Relaxed) != 0);
        maybe
            .then(|| self.sampled.with(id.into_u64(), |link| *link))
            .flatten()
    }

    fn glance_at(&self, id: &Id) -> Option<&AtomicU8> {
        let id = id.into_u64();
        let mixed = (id ^ (id >> 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.glance.get((mixed >> 52) as usize % GLANCE)
    }

    /// A span without a parent in this process: the HTTP layer may have decided, or the caller
    /// elsewhere.
    fn samples_root(&self) -> bool {
        OtelContext::map_current(|context| {
            if let Some(Decided { sampled }) = context.get() {
                return *sampled;
            }
            let span = context.span();
            let remote = span.span_context();
            let remote = remote.is_valid().then(|| {
                let trace = u128::from_be_bytes(remote.trace_id().to_bytes());
                (remote.is_sampled(), trace as u64)
            });
            self.sampling.samples(remote, random())
        })
    }
}
