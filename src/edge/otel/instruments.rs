//! The OpenTelemetry instruments, and the series that measurements are recorded into.
//!
//! Each series is bound once, so that a record needs no look-up of attributes. How many there are
//! is limited here, before the SDK sees them: what comes later shares a series under `_OTHER`.

use super::{
    chains::Chains,
    distribution::{Distribution, Unit},
    inference::Inference,
    keys::{AttemptKey, ComponentKey, ExperimentKey, Fold, RequestKey, attribute},
    meters::{Calls, Late, Meters},
    observed::{CostLedger, CostSum, SeriesFigures, observe_costs, observe_later, observe_monitor},
    pricing::{self, Pricing},
    quotas::observe_quotas,
    streams::{PAIR_SERIES_LIMIT, SERIES_LIMIT, TOKEN_SERIES_LIMIT},
};
use crate::{
    config::Conventions,
    core::{
        labels::Label,
        measurement::{Kind, Measurement},
        quotas::QuotaLedger,
        recorder::{LabelTables, Recorder},
        word_hash::WordMap,
    },
    event_type::PerformanceEventType,
    names,
};
use opentelemetry::{KeyValue, metrics::Meter};
use std::{
    hash::Hash,
    sync::{Arc, LazyLock, atomic::Ordering},
};

/// Series of one kind that have all their labels; what comes later shares a series with others
/// that have some of them in common.
const MAX_SERIES: usize = 1_500;
/// With so many more of these, the rest shares one, or one for what failed.
const MAX_SHARED: usize = 250;

/// There are fewer series than the SDK has room for. Of tokens there are two for each attempt.
const _: () = {
    let all = MAX_SERIES + MAX_SHARED + 2;
    assert!(all < SERIES_LIMIT && 2 * all < TOKEN_SERIES_LIMIT);
    assert!(3 * pricing::MAX_SERIES < SERIES_LIMIT && pricing::MAX_SERIES < PAIR_SERIES_LIMIT);
};

/// Where instruments are made.
pub(crate) struct InstrumentMeters {
    /// All but the histograms.
    pub(crate) all: Meter,
    pub(crate) histograms: Meter,
    /// The histograms of calls to providers that the views are made of.
    pub(crate) calls: Meter,
    pub(crate) conventions: Conventions,
}

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Instruments {
    meter: Meters,
    /// Calls to providers, for the views.
    calls: Calls,
    /// The same for those that the newer conventions have no name for, where only these are asked
    /// for: they are told by the names of today.
    told_calls: Option<Calls>,
    /// Calls by the names of the newer conventions, where they are asked for.
    inference: Option<Inference>,
    labels: Arc<LabelTables>,
    attempts: WordMap<AttemptKey, AttemptSeries>,
    requests: WordMap<RequestKey, Distribution<f64>>,
    request_sizes: WordMap<RequestKey, Distribution<u64>>,
    response_sizes: WordMap<RequestKey, Distribution<u64>>,
    components: WordMap<ComponentKey, Distribution<f64>>,
    timers: WordMap<Label, Distribution<f64>>,
    experiments: WordMap<ExperimentKey, Distribution<f64>>,
    chains: Chains,
    costs: Arc<CostLedger>,
    pricing: Pricing,
    figures: Arc<SeriesFigures>,
    quotas: Arc<QuotaLedger>,
    /// What the response cache saved.
    saved: Arc<CostLedger>,
    saved_costs: Late<()>,
    /// The gauges of quotas, made once there is something to tell.
    quota_gauges: Late<()>,
}

#[derive(Debug)]
struct AttemptSeries {
    duration: Distribution<f64>,
    time_to_first_chunk: Option<Box<Distribution<f64>>>,
    time_per_output_chunk: Option<Box<Distribution<f64>>>,
    input_tokens: Option<Box<Distribution<u64>>>,
    output_tokens: Option<Box<Distribution<u64>>>,
    cost: Option<CostSum>,
}

impl Instruments {
    /// Instruments of these meters, for the labels and figures of `recorder`.
    pub(crate) fn new(from: &InstrumentMeters, recorder: &Arc<Recorder>) -> Self {
        let InstrumentMeters {
            all: meter,
            histograms,
            calls,
            conventions,
        } = from;
        let told_calls = *conventions == Conventions::Latest;
        let newer = *conventions != Conventions::Current;
        let costs = Arc::new(CostLedger::default());
        let figures = Arc::new(SeriesFigures::default());
        observe_costs(meter, Arc::clone(&costs));
        observe_monitor(meter, recorder, Arc::clone(&figures));
        let saved = Arc::new(CostLedger::default());
        Self {
            saved_costs: observe_later(
                meter,
                &saved,
                names::CACHE_SAVED_COST,
                "What answers of the response cache would have cost",
            ),
            saved,
            quota_gauges: observe_quotas(meter, &recorder.quotas, &recorder.labels),
            quotas: Arc::clone(&recorder.quotas),
            meter: Meters::new(meter, histograms),
            calls: Calls::new(calls),
            told_calls: told_calls.then(|| Calls::new(histograms)),
            inference: newer.then(|| Inference::new(meter, histograms)),
            labels: Arc::clone(&recorder.labels),
            attempts: WordMap::default(),
            requests: WordMap::default(),
            request_sizes: WordMap::default(),
            response_sizes: WordMap::default(),
            components: WordMap::default(),
            timers: WordMap::default(),
            experiments: WordMap::default(),
            chains: Chains::new(meter),
            costs,
            pricing: Pricing::new(Arc::clone(&recorder.prices)),
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
            self.costs.of_model(key, &self.labels);
        }
    }

    /// Makes all instruments now.
    pub(crate) fn prepare(&self) {
        self.meter.prepare();
        self.calls.prepare();
        if let Some(calls) = &self.told_calls {
            calls.prepare();
        }
        if let Some(inference) = &self.inference {
            inference.prepare();
        }
        LazyLock::force(&self.quota_gauges);
    }

    /// Records what waits, for somebody who collects.
    pub(crate) fn flush(&mut self) {
        self.pricing.refresh();
        self.chains.flush();
        if let Some(inference) = &mut self.inference {
            inference.flush();
        }
        if !self.quotas.is_empty() {
            LazyLock::force(&self.quota_gauges);
        }
        for series in self.attempts.values_mut() {
            series.duration.flush();
            series
                .time_to_first_chunk
                .iter_mut()
                .for_each(|d| d.flush());
            series
                .time_per_output_chunk
                .iter_mut()
                .for_each(|d| d.flush());
            series.input_tokens.iter_mut().for_each(|d| d.flush());
            series.output_tokens.iter_mut().for_each(|d| d.flush());
        }
        let rest = self.components.values_mut();
        let rest = rest.chain(self.timers.values_mut());
        let rest = rest.chain(self.experiments.values_mut());

        rest.chain(self.requests.values_mut())
            .for_each(Distribution::flush);
        let sizes = self.request_sizes.values_mut();
        sizes
            .chain(self.response_sizes.values_mut())
            .for_each(Distribution::flush);
    }

    /// Bytes on the heap, without what the SDK has.
    pub(crate) fn heap_bytes(&self) -> usize {
        fn boxed<T: Unit>(some: Option<&Distribution<T>>) -> usize {
            some.map_or(0, |d| size_of::<Distribution<T>>() + d.heap_bytes())
        }
        let attempts = self.attempts.values().map(|series| {
            series.duration.heap_bytes()
                + boxed(series.time_to_first_chunk.as_deref())
                + boxed(series.time_per_output_chunk.as_deref())
                + boxed(series.input_tokens.as_deref())
                + boxed(series.output_tokens.as_deref())
        });
        let rest = self.components.values().chain(self.timers.values());
        let rest = rest.chain(self.experiments.values());

        let rest = rest.chain(self.requests.values());
        let sizes = self
            .request_sizes
            .values()
            .chain(self.response_sizes.values());
        let distributions = attempts
            .chain(rest.map(Distribution::heap_bytes))
            .chain(sizes.map(Distribution::heap_bytes));
        let maps = map(&self.attempts) + map(&self.requests) + map(&self.components);
        let maps = maps + map(&self.timers) + map(&self.experiments);
        let maps = maps + map(&self.request_sizes) + map(&self.response_sizes);
        let newer = self.inference.as_ref().map_or(0, Inference::heap_bytes);
        distributions.sum::<usize>()
            + maps
            + newer
            + self.pricing.heap_bytes()
            + self.chains.heap_bytes()
    }

    /// Completes what a measurement says of itself by what is known of its provider and model.
    #[inline]
    pub(crate) fn settle(&mut self, measurement: &mut Measurement) {
        self.pricing.settle(measurement, &self.meter, &self.labels);
    }

    /// Records one measurement, which is settled.
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
        let key = AttemptKey {
            provider: measurement.provider,
            model: measurement.model,
            operation: measurement.operation,
            error: measurement.error,
        };
        let key = admit(&self.attempts, key, &self.figures);
        let mut calls = &self.calls;
        if let Some(inference) = &mut self.inference {
            if is_inference(key.operation, &self.labels) {
                inference.record(key, measurement, &self.labels);
            } else if let Some(told) = &self.told_calls {
                calls = told;
            }
        }
        let series = self.attempts.entry(key).or_insert_with(|| {
            self.figures.in_use.fetch_add(1, Ordering::Relaxed);
            let attributes = key.attributes(&self.labels);
            AttemptSeries {
                duration: Distribution::new(calls.duration.bind(&attributes)),
                time_to_first_chunk: None,
                time_per_output_chunk: None,
                input_tokens: None,
                output_tokens: None,
                cost: None,
            }
        });
        series.duration.record(measurement.duration);
        if let Some(nanos) = measurement.time_to_first_chunk.get() {
            let instrument = &calls.time_to_first_chunk;
            series
                .time_to_first_chunk
                .get_or_insert_with(|| {
                    let attributes = key.without_error().attributes(&self.labels);
                    Box::new(Distribution::new(instrument.bind(&attributes)))
                })
                .record(nanos);
        }
        if let Some(nanos) = measurement.time_per_output_chunk() {
            let instrument = &calls.time_per_output_chunk;
            series
                .time_per_output_chunk
                .get_or_insert_with(|| {
                    let attributes = key.without_error().attributes(&self.labels);
                    Box::new(Distribution::new(instrument.bind(&attributes)))
                })
                .record(nanos);
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
                        Box::new(Distribution::new(calls.token_usage.bind(&attributes)))
                    })
                    .record(tokens);
            }
        }
        if let Some(cost) = measurement.cost() {
            series
                .cost
                .get_or_insert_with(|| self.costs.of_model(key, &self.labels))
                .add(cost);
            self.chains
                .add_cost(measurement.endpoint, cost, &self.labels);
        }
    }

    fn record_request(&mut self, measurement: &Measurement) {
        let key = RequestKey {
            endpoint: measurement.endpoint.or(Label::OTHER),
            method: measurement.method,
            status: measurement.status,
            error: measurement.error,
        };
        let key = admit(&self.requests, key, &self.figures);
        let series = self.requests.entry(key).or_insert_with(|| {
            self.figures.in_use.fetch_add(1, Ordering::Relaxed);
            let attributes = key.attributes(&self.labels);
            Distribution::new(self.meter.request_duration.bind(&attributes))
        });
        series.record(measurement.duration);
        self.chains.record(measurement, &self.meter, &self.labels);
        // Without an attempt that tells it, the operation itself may.
        if let Some(cost) = measurement.cost()
            && measurement.chain.attempts == 0
        {
            self.chains.add_cost(key.endpoint, cost, &self.labels);
        }
        for (bytes, sizes, instrument) in [
            (
                measurement.request_size,
                &mut self.request_sizes,
                &self.meter.request_size,
            ),
            (
                measurement.response_size,
                &mut self.response_sizes,
                &self.meter.response_size,
            ),
        ] {
            if let Some(bytes) = bytes.get() {
                // As many places as there are requests, or fewer.
                let place = key.place();
                let series = sizes.entry(place).or_insert_with(|| {
                    Distribution::new(instrument.bind(&place.attributes(&self.labels)))
                });
                series.record(bytes);
            }
        }
    }

    fn record_component(&mut self, measurement: &Measurement) {
        let key = ComponentKey {
            component: measurement.component,
            operation: measurement.component_operation,
            error: measurement.error,
        };
        let key = admit(&self.components, key, &self.figures);
        self.components
            .entry(key)
            .or_insert_with(|| {
                self.figures.in_use.fetch_add(1, Ordering::Relaxed);
                let attributes = key.attributes(&self.labels);
                Distribution::new(self.meter.component_duration.bind(&attributes))
            })
            .record(measurement.duration);
    }

    fn record_timer(&mut self, measurement: &Measurement) {
        let name = admit(&self.timers, measurement.component, &self.figures);
        self.timers
            .entry(name)
            .or_insert_with(|| {
                self.figures.in_use.fetch_add(1, Ordering::Relaxed);
                let attributes = attribute(names::TIMER, &self.labels.timers, name);
                Distribution::new(self.meter.timer_duration.bind(attributes.as_slice()))
            })
            .record(measurement.duration);
    }

    fn record_experiment(&mut self, measurement: &Measurement) {
        let key = ExperimentKey {
            experiment: measurement.component,
            variant: measurement.component_operation,
            error: measurement.error,
        };
        let key = admit(&self.experiments, key, &self.figures);
        self.experiments
            .entry(key)
            .or_insert_with(|| {
                self.figures.in_use.fetch_add(1, Ordering::Relaxed);
                let attributes = key.attributes(&self.labels);
                Distribution::new(self.meter.experiment_duration.bind(&attributes))
            })
            .record(measurement.duration);
    }

    /// What it would have taken to ask instead.
    fn record_saved(&self, hit: &Measurement) {
        let key = AttemptKey {
            provider: hit.provider,
            model: hit.model,
            operation: Label::NONE,
            error: None,
        };
        if let Some(cost) = hit.cost() {
            LazyLock::force(&self.saved_costs);
            self.saved.of_model(key, &self.labels).add(cost);
        }
        if hit.duration > 0 {
            let attributes: Vec<_> = key
                .attributes(&self.labels)
                .into_iter()
                .filter(|pair| pair.key.as_str() != names::GEN_AI_OPERATION_NAME)
                .collect();
            let seconds = hit.duration().as_secs_f64();
            self.meter.cache_saved_time.add(seconds, &attributes);
        }
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
                if hit {
                    self.record_saved(measurement);
                }
            }
            PerformanceEventType::RateLimitHit => {
                // Who is named has refused; what names nobody is a limit of the gateway's own.
                let by = match measurement.provider {
                    Label::NONE => names::BY_GATEWAY,
                    _ => names::BY_PROVIDER,
                };
                let by = KeyValue::new(names::RATE_LIMIT_BY, by);
                let attributes: Vec<_> = std::iter::once(by).chain(attributes()).collect();
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

/// Whether the newer conventions have names for what is asked of a model.
fn is_inference(operation: Label, labels: &LabelTables) -> bool {
    let operation = labels.operations.text(operation);
    operation.is_none_or(|name| !names::NO_INFERENCE.contains(&&*name))
}

/// Bytes of a map, without what its values have on the heap.
pub(super) fn map<K, V>(map: &WordMap<K, V>) -> usize {
    (map.capacity() * 8 / 7) * (size_of::<(K, V)>() + 1)
}

/// The key of the series that there is for `key`, or may be made.
#[inline]
fn admit<K: Fold + Eq + Hash, V>(map: &WordMap<K, V>, key: K, figures: &SeriesFigures) -> K {
    if map.len() < MAX_SERIES || map.contains_key(&key) {
        return key;
    }
    figures.refused.fetch_add(1, Ordering::Relaxed);
    let shared = key.shared();
    if map.len() < MAX_SERIES + MAX_SHARED || map.contains_key(&shared) {
        shared
    } else {
        key.rest()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_keys_come_there_is_a_bound_to_the_series() {
        let figures = SeriesFigures::default();
        let mut map: WordMap<RequestKey, ()> = WordMap::default();
        let labels = LabelTables::for_tests();
        let endpoints: Vec<Label> = (0..100)
            .map(|n| labels.endpoints.label(&format!("/{n}")))
            .collect();
        for status in 100..600 {
            for endpoint in &endpoints {
                let key = RequestKey {
                    endpoint: *endpoint,
                    method: None,
                    status: Some(status),
                    error: None,
                };
                map.insert(admit(&map, key, &figures), ());
            }
        }
        assert_eq!(map.len(), MAX_SERIES + MAX_SHARED + 2);
        let refused = figures.refused.load(Ordering::Relaxed);
        assert_eq!(refused, 100 * 500 - MAX_SERIES as u64);
    }
}
