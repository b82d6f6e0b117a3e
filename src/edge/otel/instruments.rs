//! The OpenTelemetry instruments, and the series that measurements are recorded into.
//!
//! Each series is bound once, so that a record needs no look-up of attributes. How many there are
//! is limited here, before the SDK sees them: what comes later shares a series under `_OTHER`.

use super::{
    keys::{AttemptKey, ComponentKey, ExperimentKey, RequestKey, WordHasher, attribute},
    observed::{CostLedger, SeriesFigures, observe_costs, observe_monitor},
    streams::CARDINALITY_LIMIT,
};
use crate::{
    core::{
        labels::Label,
        measurement::{Kind, Measurement},
        recorder::{LabelTables, Recorder},
    },
    event_type::PerformanceEventType,
    names,
};
use opentelemetry::{
    KeyValue,
    metrics::{BoundHistogram, Counter, Histogram, Meter},
};
use std::{
    collections::HashMap,
    hash::BuildHasherDefault,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

/// Series of one kind at the most; what comes later shares a series.
const MAX_SERIES: usize = 1_500;

/// Descriptions that the series which have no value yet are shown with, too.
pub(super) const ATTEMPT_DURATION: &str = "Duration of one call to one provider and model";
/// See [`ATTEMPT_DURATION`].
pub(super) const TOKEN_USAGE: &str = "Tokens used by one call";
/// See [`ATTEMPT_DURATION`].
pub(super) const REQUEST_DURATION: &str = "Duration of what the gateway's client asked for";
/// What an attempt does, unless it says something else.
pub(super) const USUAL_OPERATION: &str = "chat";

/// The bound of each kind of series, with room for the shared ones, is below the SDK's.
const _: () = assert!(MAX_SERIES * 2 < CARDINALITY_LIMIT);

type SeriesMap<K, V> = HashMap<K, V, BuildHasherDefault<WordHasher>>;

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Instruments {
    meter: Meters,
    labels: Arc<LabelTables>,
    attempts: SeriesMap<AttemptKey, AttemptSeries>,
    requests: SeriesMap<RequestKey, RequestSeries>,
    components: SeriesMap<ComponentKey, BoundHistogram<f64>>,
    timers: SeriesMap<Label, BoundHistogram<f64>>,
    experiments: SeriesMap<ExperimentKey, BoundHistogram<f64>>,
    costs: Arc<CostLedger>,
    figures: Arc<SeriesFigures>,
}

#[derive(Debug)]
struct Meters {
    attempt_duration: Histogram<f64>,
    time_to_first_chunk: Histogram<f64>,
    token_usage: Histogram<u64>,
    request_duration: Histogram<f64>,
    request_size: Histogram<u64>,
    response_size: Histogram<u64>,
    component_duration: Histogram<f64>,
    timer_duration: Histogram<f64>,
    experiment_duration: Histogram<f64>,
    cache_results: Counter<u64>,
    rate_limit_hits: Counter<u64>,
    timeouts: Counter<u64>,
    failovers: Counter<u64>,
}

#[derive(Debug)]
struct AttemptSeries {
    duration: BoundHistogram<f64>,
    time_to_first_chunk: Option<BoundHistogram<f64>>,
    input_tokens: Option<BoundHistogram<u64>>,
    output_tokens: Option<BoundHistogram<u64>>,
    cost: Option<Arc<AtomicI64>>,
}

#[derive(Debug)]
struct RequestSeries {
    duration: BoundHistogram<f64>,
    request_size: Option<BoundHistogram<u64>>,
    response_size: Option<BoundHistogram<u64>>,
}

impl Instruments {
    /// Instruments of `meter`, for the labels and figures of `recorder`.
    pub(crate) fn new(meter: &Meter, recorder: &Arc<Recorder>) -> Self {
        let costs = Arc::new(CostLedger::default());
        let figures = Arc::new(SeriesFigures::default());
        observe_costs(meter, Arc::clone(&costs));
        observe_monitor(meter, recorder, Arc::clone(&figures));
        Self {
            meter: Meters::new(meter),
            labels: Arc::clone(&recorder.labels),
            attempts: SeriesMap::default(),
            requests: SeriesMap::default(),
            components: SeriesMap::default(),
            timers: SeriesMap::default(),
            experiments: SeriesMap::default(),
            costs,
            figures,
        }
    }

    /// Shows a cost of zero for what is configured, until there is one.
    pub(crate) fn expect_costs(&self, providers: &[(String, Vec<String>)]) {
        for (provider, model) in providers
            .iter()
            .flat_map(|(p, ms)| ms.iter().map(move |m| (p, m)))
        {
            let key = AttemptKey {
                provider: self.labels.providers.label(provider),
                model: self.labels.models.label(model),
                operation: Label::NONE,
                error: None,
            };
            self.costs.entry(key, &self.labels);
        }
    }

    /// Records one measurement.
    #[inline]
    pub(crate) fn record(&mut self, measurement: &Measurement) {
        match measurement.kind {
            Kind::Attempt => self.record_attempt(measurement),
            Kind::Operation => self.record_request(measurement),
            Kind::Component => self.record_component(measurement),
            Kind::Experiment => self.record_experiment(measurement),
            Kind::Signal => self.record_signal(measurement),
            Kind::Timer => self.record_timer(measurement),
        }
    }

    fn record_attempt(&mut self, measurement: &Measurement) {
        let mut key = AttemptKey {
            provider: measurement.provider,
            model: measurement.model,
            operation: measurement.operation,
            error: measurement.error,
        };
        if self.attempts.len() >= MAX_SERIES && !self.attempts.contains_key(&key) {
            self.figures.refused.fetch_add(1, Ordering::Relaxed);
            key.model = Label::OTHER;
            key.operation = Label::NONE;
            if !self.attempts.contains_key(&key) && self.attempts.len() >= MAX_SERIES * 2 {
                key.provider = Label::OTHER;
            }
        }
        let series = self.attempts.entry(key).or_insert_with(|| {
            self.figures.in_use.fetch_add(1, Ordering::Relaxed);
            let attributes = key.attributes(&self.labels);
            AttemptSeries {
                duration: self.meter.attempt_duration.bind(&attributes),
                time_to_first_chunk: None,
                input_tokens: None,
                output_tokens: None,
                cost: None,
            }
        });
        series.duration.record(seconds(measurement.duration));
        if let Some(nanos) = measurement.time_to_first_chunk.get() {
            let instrument = &self.meter.time_to_first_chunk;
            series
                .time_to_first_chunk
                .get_or_insert_with(|| {
                    instrument.bind(&key.without_error().attributes(&self.labels))
                })
                .record(seconds(nanos));
        }
        for (amount, bound, token_type) in [
            (measurement.input_tokens, &mut series.input_tokens, "input"),
            (
                measurement.output_tokens,
                &mut series.output_tokens,
                "output",
            ),
        ] {
            if let Some(tokens) = amount.get() {
                bound
                    .get_or_insert_with(|| {
                        let mut attributes = key.without_error().attributes(&self.labels);
                        attributes.push(KeyValue::new(names::GEN_AI_TOKEN_TYPE, token_type));
                        self.meter.token_usage.bind(&attributes)
                    })
                    .record(tokens);
            }
        }
        if let Some(cost) = measurement.cost() {
            // Nobody else adds to it meanwhile; at its end it stays.
            let sum = series
                .cost
                .get_or_insert_with(|| self.costs.entry(key, &self.labels));
            let total = sum.load(Ordering::Relaxed).saturating_add(cost.nanos());
            sum.store(total, Ordering::Relaxed);
        }
    }

    fn record_request(&mut self, measurement: &Measurement) {
        let mut key = RequestKey {
            endpoint: measurement.endpoint.or(Label::OTHER),
            method: measurement.method,
            status: measurement.status,
            error: measurement.error,
        };
        if self.requests.len() >= MAX_SERIES && !self.requests.contains_key(&key) {
            self.figures.refused.fetch_add(1, Ordering::Relaxed);
            key.endpoint = Label::OTHER;
        }
        let series = self.requests.entry(key).or_insert_with(|| {
            self.figures.in_use.fetch_add(1, Ordering::Relaxed);
            RequestSeries {
                duration: self
                    .meter
                    .request_duration
                    .bind(&key.attributes(&self.labels)),
                request_size: None,
                response_size: None,
            }
        });
        series.duration.record(seconds(measurement.duration));
        for (amount, bound, instrument) in [
            (
                measurement.request_size,
                &mut series.request_size,
                &self.meter.request_size,
            ),
            (
                measurement.response_size,
                &mut series.response_size,
                &self.meter.response_size,
            ),
        ] {
            if let Some(bytes) = amount.get() {
                bound
                    .get_or_insert_with(|| instrument.bind(&key.place(&self.labels)))
                    .record(bytes);
            }
        }
    }

    fn record_component(&mut self, measurement: &Measurement) {
        let mut key = ComponentKey {
            component: measurement.component,
            operation: measurement.component_operation,
            error: measurement.error,
        };
        if self.components.len() >= MAX_SERIES && !self.components.contains_key(&key) {
            self.figures.refused.fetch_add(1, Ordering::Relaxed);
            key.operation = Label::OTHER;
        }
        self.components
            .entry(key)
            .or_insert_with(|| {
                self.figures.in_use.fetch_add(1, Ordering::Relaxed);
                let attributes = key.attributes(&self.labels);
                self.meter.component_duration.bind(&attributes)
            })
            .record(seconds(measurement.duration));
    }

    fn record_timer(&mut self, measurement: &Measurement) {
        let mut name = measurement.component;
        if self.timers.len() >= MAX_SERIES && !self.timers.contains_key(&name) {
            self.figures.refused.fetch_add(1, Ordering::Relaxed);
            name = Label::OTHER;
        }
        self.timers
            .entry(name)
            .or_insert_with(|| {
                self.figures.in_use.fetch_add(1, Ordering::Relaxed);
                let attributes = attribute(names::TIMER, &self.labels.timers, name);
                self.meter.timer_duration.bind(attributes.as_slice())
            })
            .record(seconds(measurement.duration));
    }

    fn record_experiment(&mut self, measurement: &Measurement) {
        let mut key = ExperimentKey {
            experiment: measurement.component,
            variant: measurement.component_operation,
            error: measurement.error,
        };
        if self.experiments.len() >= MAX_SERIES && !self.experiments.contains_key(&key) {
            self.figures.refused.fetch_add(1, Ordering::Relaxed);
            key.variant = Label::OTHER;
        }
        self.experiments
            .entry(key)
            .or_insert_with(|| {
                self.figures.in_use.fetch_add(1, Ordering::Relaxed);
                let attributes = key.attributes(&self.labels);
                self.meter.experiment_duration.bind(&attributes)
            })
            .record(seconds(measurement.duration));
    }

    fn record_signal(&self, measurement: &Measurement) {
        let labels = &self.labels;
        let provider = attribute(
            names::GEN_AI_PROVIDER_NAME,
            &labels.providers,
            measurement.provider,
        );
        let model = attribute(
            names::GEN_AI_REQUEST_MODEL,
            &labels.models,
            measurement.model,
        );
        let attributes = || provider.clone().into_iter().chain(model.clone());
        match measurement.event {
            PerformanceEventType::CacheHit | PerformanceEventType::CacheMiss => {
                let hit = measurement.event == PerformanceEventType::CacheHit;
                let result = KeyValue::new(names::CACHE_RESULT, if hit { "hit" } else { "miss" });
                let attributes: Vec<_> = attributes().chain([result]).collect();
                self.meter.cache_results.add(1, &attributes);
            }
            PerformanceEventType::RateLimitHit => {
                let attributes: Vec<_> = attributes().collect();
                self.meter.rate_limit_hits.add(1, &attributes);
            }
            PerformanceEventType::Timeout => {
                let attributes: Vec<_> = attributes().collect();
                self.meter.timeouts.add(1, &attributes);
            }
            PerformanceEventType::FailoverInitiated => {
                let attributes: Vec<_> = [
                    attribute(
                        names::FAILOVER_FROM,
                        &labels.providers,
                        measurement.provider,
                    ),
                    attribute(
                        names::FAILOVER_TO,
                        &labels.providers,
                        measurement.failover_to,
                    ),
                    attribute(names::FAILOVER_REASON, &labels.reasons, measurement.reason),
                ]
                .into_iter()
                .flatten()
                .collect();
                self.meter.failovers.add(1, &attributes);
            }
            _ => {}
        }
    }
}

impl Meters {
    fn new(meter: &Meter) -> Self {
        let seconds = |name: &'static str, description: &'static str| {
            let histogram = meter.f64_histogram(name).with_unit("s");
            histogram.with_description(description).build()
        };
        let amounts = |name: &'static str, unit: &'static str, description: &'static str| {
            let histogram = meter.u64_histogram(name).with_unit(unit);
            histogram.with_description(description).build()
        };
        let counter = |name: &'static str, unit: &'static str, description: &'static str| {
            let counter = meter.u64_counter(name).with_unit(unit);
            counter.with_description(description).build()
        };
        Self {
            attempt_duration: seconds(names::GEN_AI_OPERATION_DURATION, ATTEMPT_DURATION),
            time_to_first_chunk: seconds(
                names::GEN_AI_TIME_TO_FIRST_CHUNK,
                "Time from the start of a call to its first chunk",
            ),
            token_usage: amounts(names::GEN_AI_TOKEN_USAGE, "{token}", TOKEN_USAGE),
            request_duration: seconds(names::HTTP_SERVER_REQUEST_DURATION, REQUEST_DURATION),
            request_size: amounts(
                names::HTTP_SERVER_REQUEST_BODY_SIZE,
                "By",
                "Size of request bodies",
            ),
            response_size: amounts(
                names::HTTP_SERVER_RESPONSE_BODY_SIZE,
                "By",
                "Size of response bodies",
            ),
            component_duration: seconds(
                names::COMPONENT_DURATION,
                "Duration of work inside the gateway",
            ),
            timer_duration: seconds(names::TIMER_DURATION, "Durations observed by named timers"),
            experiment_duration: seconds(
                names::EXPERIMENT_DURATION,
                "Duration of one try of a variant of an experiment",
            ),
            cache_results: counter(
                names::CACHE_RESULTS,
                "{result}",
                "Look-ups in the response cache",
            ),
            rate_limit_hits: counter(names::RATE_LIMIT_HITS, "{hit}", "Rate limits reached"),
            timeouts: counter(names::TIMEOUTS, "{timeout}", "Timeouts told of by events"),
            failovers: counter(
                names::FAILOVERS,
                "{failover}",
                "Calls that were given to another provider",
            ),
        }
    }
}

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}
