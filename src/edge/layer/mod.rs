//! The tracing layer: from spans and events to measurements.
//!
//! It keeps its own table of open spans instead of the registry's extensions, which would cost an
//! allocation and a lock for each span, and it never calls code of the host.

mod callsite;
mod field;
mod span;
mod startup;
mod traces;

use crate::config::Config;
use crate::core::{
    chain::ChainSoFar,
    measurement::{Chain, Kind, Measurement},
    open::OpenTable,
    open_operation::OfRequest,
    recorder::{DropReason, Recorder, attempt_of, nanos, settle_status},
};
use crate::event_type::PerformanceEventType;
use crate::names;
use callsite::{Callsite, CallsiteKind, CallsiteNumber, Callsites};
use span::{Reader, SpanState, Suspect};
pub(crate) use startup::Subscribers;
use std::num::NonZeroU64;
use std::sync::{Arc, OnceLock, atomic::Ordering};
pub(crate) use traces::Traces;
use traces::is_traced;
use tracing_core::{
    Dispatch, Event, Metadata, Subscriber,
    dispatcher::WeakDispatch,
    span::{Attributes, Id, Record},
    subscriber::Interest,
};
use tracing_subscriber::{
    Layer, Registry,
    filter::{Filtered, LevelFilter},
    layer::{Context, Filter},
    registry::LookupSpan,
};

/// The layer behind its own filter, so that callsites which are not ours are never enabled for it.
pub(crate) type MeasuringLayer<S> = Filtered<SpanLayer<S>, OursOnly, S>;

/// A layer that measures for `recorder`, and hands sampled spans to `traces`.
pub(crate) fn layer<S>(
    recorder: Arc<Recorder>,
    config: &Config,
    subscribers: Arc<Subscribers>,
    traces: Option<Traces<S>>,
) -> MeasuringLayer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let ours = OursOnly {
        callsites: Arc::new(Callsites::new(config)),
        traces: traces.is_some(),
    };
    SpanLayer {
        spans: OpenTable::new(config.max_open, &recorder.open_bytes),
        recorder,
        callsites: Arc::clone(&ours.callsites),
        subscribers,
        subscriber: OnceLock::new(),
        traces,
    }
    .with_filter(ours)
}

/// See the module's description.
#[derive(Debug)]
pub(crate) struct SpanLayer<S> {
    recorder: Arc<Recorder>,
    callsites: Arc<Callsites>,
    spans: OpenTable<SpanState>,
    subscribers: Arc<Subscribers>,
    /// The one that the layer is part of.
    subscriber: OnceLock<WeakDispatch>,
    traces: Option<Traces<S>>,
}

/// Lets the callsites through that have a recognised field, and those that are traced.
#[derive(Debug)]
pub(crate) struct OursOnly {
    callsites: Arc<Callsites>,
    traces: bool,
}

impl<S> Filter<S> for OursOnly {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        self.callsites.is_ours(metadata) || self.traces && is_traced(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.callsites.register(metadata) || self.traces && is_traced(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }
}

impl<S> Layer<S> for SpanLayer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        self.subscribers.add(dispatch);
        self.subscriber.set(dispatch.downgrade()).ok();
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(traces) = &self.traces {
            traces.on_new_span(attributes, id, context.clone());
        }
        let Some((number, callsite)) = self.callsites.get_or_register(attributes.metadata()) else {
            return;
        };
        self.subscribers.span_seen.store(true, Ordering::Relaxed);
        let started = self.recorder.now();
        let around = self.operation_around(attributes, &context);
        let state = SpanState::new(started, number, callsite.kind);
        let inserted = self.spans.insert_and(id.into_u64(), state, |state| {
            attributes.record(&mut Reader {
                callsite,
                recorder: &self.recorder,
                state,
            });
            // The HTTP layer of another monitor keeps its operation elsewhere.
            let operations = &self.recorder.operations;
            let is_own = |key: &NonZeroU64| operations.with(key.get(), |_| ()).is_some();
            state.kept = state.kept.filter(is_own);
            if state.kept.is_none() {
                (state.operation, state.kept) = around;
            }
        });
        if !inserted {
            self.recorder.refuse(DropReason::TooManyOpen);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.spans.with(id.into_u64(), |state| {
            if let Some(callsite) = self.callsites.at(state.callsite) {
                values.record(&mut Reader {
                    callsite,
                    recorder: &self.recorder,
                    state,
                });
            }
        });
        if let Some(traces) = &self.traces {
            traces.on_record(id, values, context);
        }
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, context: Context<'_, S>) {
        if let Some(traces) = &self.traces {
            traces.on_follows_from(id, follows, context);
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        if let Some(traces) = &self.traces {
            traces.on_enter(id, context);
        }
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        if let Some(traces) = &self.traces {
            traces.on_exit(id, context);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let direct = direct_span(event, &context);
        if let Some(traces) = &self.traces {
            traces.on_event(event, direct, context);
        }
        let Some((number, callsite)) = self.callsites.get_or_register(event.metadata()) else {
            return;
        };
        match callsite.kind {
            CallsiteKind::Error => {
                if let Some(id) = direct
                    && !self.callsites.is_of_foreign_span(event.metadata())
                {
                    self.spans.with(id, |state| state.error_event = true);
                }
            }
            CallsiteKind::Signal => self.signal(event, number, callsite, direct),
            CallsiteKind::Span { .. } | CallsiteKind::HttpSpan => {}
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let traces = self.traces.as_ref();
        let link = traces.and_then(|traces| traces.on_close(&id, context));
        if let Some(mut state) = self.spans.remove(id.into_u64()) {
            state.measurement.set_trace(link);
            self.close(state);
        }
    }
}

impl<S> SpanLayer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    /// What a new span belongs to: a span that may be an operation, and one that the HTTP layer
    /// keeps.
    fn operation_around(
        &self,
        attributes: &Attributes<'_>,
        context: &Context<'_, S>,
    ) -> (Option<NonZeroU64>, Option<NonZeroU64>) {
        let parent = match attributes.parent() {
            Some(parent) => Some(parent.clone()),
            None if attributes.is_contextual() => context.current_span().id().cloned(),
            None => None,
        };
        let Some(parent) = parent else {
            return (None, None);
        };
        let direct = self.operation_at(parent.into_u64());
        direct
            .or_else(|| self.operation_at(self.nearest(&parent)?))
            .unwrap_or_default()
    }

    /// The nearest span of ours from `id` on upwards.
    fn nearest(&self, id: &Id) -> Option<u64> {
        let is_ours = |id: &u64| self.spans.with(*id, |_| ()).is_some();
        if is_ours(&id.into_u64()) {
            return Some(id.into_u64());
        }
        // A span of somebody else's stands between. A layer with a filter cannot see it, nor
        // what is above it, so the registry itself is asked.
        let subscriber = self.subscriber.get()?.upgrade()?;
        let span = subscriber.downcast_ref::<Registry>()?.span(id)?;
        span.scope()
            .map(|above| above.id().into_u64())
            .find(is_ours)
    }

    /// The operation that the span `id` is or belongs to; `None` if the span is not ours.
    fn operation_at(&self, id: u64) -> Option<(Option<NonZeroU64>, Option<NonZeroU64>)> {
        self.spans.with(id, |state| {
            let operation = match state.kind {
                // Its endpoint may be told later.
                CallsiteKind::Span { endpoint: true, .. } => NonZeroU64::new(id),
                _ => state.operation,
            };
            (operation, state.kept)
        })
    }

    fn close(&self, mut state: SpanState) {
        if state.kind == CallsiteKind::HttpSpan {
            return;
        }
        // A call of a library inside, whose attempt is measured where it is known as one.
        if state.client && state.measurement.provider.is_none() {
            return;
        }
        let failure = state.failure();
        let measurement = &mut state.measurement;
        let started = std::mem::replace(&mut measurement.ended, self.recorder.now());
        measurement.duration = nanos(measurement.ended, started);
        measurement.error = failure;
        let (is_attempt, is_operation) = (state.is_attempt(), state.is_operation());

        self.offer_component(&state);
        if is_operation {
            self.close_operation(state, is_attempt);
        } else if is_attempt {
            settle_status(&mut state.measurement);
            let around = self.note(&state, |chain| chain.note_attempt(&state.measurement));
            if Self::belongs_to_operation(&state) {
                around.give(&mut state.measurement);
            }
            self.recorder.offer(state.measurement);
        }
    }

    fn close_operation(&self, mut state: SpanState, is_attempt: bool) {
        let chain = state.chain.of(&state.measurement);
        state.measurement.chain = chain;
        if is_attempt && !state.chain.has_attempt() {
            let attempt = attempt_of(&state.measurement);
            self.note(&state, |chain| chain.note_attempt(&attempt));
            state.measurement.chain = Chain::single(&attempt);
            self.recorder.offer(attempt);
        }
        if let Some(key) = state.kept {
            // If that one has ended before, there is nothing left to enrich.
            let operations = &self.recorder.operations;
            operations.with(key.get(), |open| open.enrich(&state.measurement));
            return;
        }
        let measurement = &mut state.measurement;
        measurement.kind = Kind::Operation;
        measurement.event = PerformanceEventType::RequestEnd;
        settle_status(measurement);
        self.recorder.offer(state.measurement);
    }

    fn offer_component(&self, state: &SpanState) {
        let measurement = &state.measurement;
        if measurement.component.is_none() {
            return;
        }
        if Self::belongs_to_operation(state) && self.is_wait(measurement) {
            let started = measurement.ended.before(measurement.duration());
            self.note(state, |chain| chain.note_wait(started, measurement.ended));
        }
        let mut component = measurement.clone();
        component.kind = Kind::Component;
        component.event = PerformanceEventType::RequestEnd;
        settle_status(&mut component);
        self.recorder.offer(component);
    }

    const fn belongs_to_operation(state: &SpanState) -> bool {
        state.operation.is_some() || state.kept.is_some()
    }

    /// Whether it is time that the gateway waited on purpose: that of the component `wait`.
    fn is_wait(&self, measurement: &Measurement) -> bool {
        let components = &self.recorder.labels.components;
        components.text(measurement.component).as_deref() == Some(names::WAIT)
    }

    /// Tells the operations around a span of something that belongs to their chains; what they
    /// know of the request, the outermost that the HTTP layer keeps before all others.
    fn note(&self, below: &SpanState, note: impl Fn(&mut ChainSoFar)) -> OfRequest {
        let mut known = OfRequest::default();
        if let Some(key) = below.kept {
            let operations = &self.recorder.operations;
            operations.with(key.get(), |open| {
                note(&mut open.chain);
                known.add(&open.measurement);
            });
        }
        let mut above = below.operation;
        while let Some(id) = above {
            let noted = self.spans.with(id.get(), |state| {
                note(&mut state.chain);
                known.add(&state.measurement);
                state.operation
            });
            above = noted.flatten();
        }
        known
    }

    fn signal(
        &self,
        event: &Event<'_>,
        number: CallsiteNumber,
        callsite: &Callsite,
        direct: Option<u64>,
    ) {
        let mut state = SpanState::new(self.recorder.now(), number, callsite.kind);
        event.record(&mut Reader {
            callsite,
            recorder: &self.recorder,
            state: &mut state,
        });
        let mut signal = state.measurement;
        if signal.kind != Kind::Signal {
            return;
        }
        let around = direct.and_then(|id| self.nearest(&Id::from_u64(id)));
        if let Some(id) = around {
            self.spans.with(id, |around| {
                let around_it = &around.measurement;
                signal.provider = signal.provider.or(around_it.provider);
                signal.model = signal.model.or(around_it.model);
                signal.endpoint = signal.endpoint.or(around_it.endpoint);
                around.suspect = match signal.event {
                    PerformanceEventType::Timeout => Some(Suspect::Timeout),
                    PerformanceEventType::RateLimitHit => Some(Suspect::RateLimit),
                    _ => around.suspect,
                };
            });
        }
        self.recorder.offer(signal);
    }
}

/// The span that an event was emitted in, whoever's it is.
fn direct_span<S>(event: &Event<'_>, context: &Context<'_, S>) -> Option<u64>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    match event.parent() {
        Some(parent) => Some(parent.into_u64()),
        None if event.is_contextual() => context.current_span().id().map(Id::into_u64),
        None => None,
    }
}
