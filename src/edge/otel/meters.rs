//! The instruments themselves: what each is called, its unit, and what it says of itself.

use crate::names;
use opentelemetry::metrics::{Counter, Histogram, Meter};
use std::sync::LazyLock;

/// Descriptions that the series which have no value yet are shown with, too.
pub(super) const ATTEMPT_DURATION: &str = "Duration of one call to one provider and model";
/// See [`ATTEMPT_DURATION`].
pub(super) const TOKEN_USAGE: &str = "Tokens used by one call";
/// See [`ATTEMPT_DURATION`].
pub(super) const REQUEST_DURATION: &str = "Duration of what the gateway's client asked for";
/// An instrument that is made when it is first used: the SDK reserves memory for each.
pub(super) type Late<I> = LazyLock<I, Box<dyn FnOnce() -> I + Send>>;

/// What calls to providers are recorded into, by the names of today.
#[derive(Debug)]
pub(super) struct Calls {
    pub(super) duration: Late<Histogram<f64>>,
    pub(super) time_to_first_chunk: Late<Histogram<f64>>,
    pub(super) time_per_output_chunk: Late<Histogram<f64>>,
    pub(super) token_usage: Late<Histogram<u64>>,
}

impl Calls {
    pub(super) fn new(histograms: &Meter) -> Self {
        let seconds = |name: &'static str, description: &'static str| {
            let meter = histograms.clone();
            late(move || {
                let histogram = meter.f64_histogram(name).with_unit("s");
                histogram.with_description(description).build()
            })
        };
        let meter = histograms.clone();
        Self {
            duration: seconds(names::GEN_AI_OPERATION_DURATION, ATTEMPT_DURATION),
            time_to_first_chunk: seconds(
                names::GEN_AI_TIME_TO_FIRST_CHUNK,
                "Time from the start of a call to its first chunk",
            ),
            time_per_output_chunk: seconds(
                names::GEN_AI_TIME_PER_OUTPUT_CHUNK,
                "Time for each chunk of an answer after its first",
            ),
            token_usage: late(move || {
                let histogram = meter.u64_histogram(names::GEN_AI_TOKEN_USAGE);
                let histogram = histogram.with_unit("{token}");
                histogram.with_description(TOKEN_USAGE).build()
            }),
        }
    }

    /// Makes all of them now.
    pub(super) fn prepare(&self) {
        LazyLock::force(&self.duration);
        LazyLock::force(&self.time_to_first_chunk);
        LazyLock::force(&self.time_per_output_chunk);
        LazyLock::force(&self.token_usage);
    }
}

/// Every other instrument that is recorded into.
#[derive(Debug)]
pub(super) struct Meters {
    pub(super) request_duration: Late<Histogram<f64>>,
    pub(super) request_size: Late<Histogram<u64>>,
    pub(super) response_size: Late<Histogram<u64>>,
    pub(super) component_duration: Late<Histogram<f64>>,
    pub(super) timer_duration: Late<Histogram<f64>>,
    pub(super) experiment_duration: Late<Histogram<f64>>,
    pub(super) cache_results: Late<Counter<u64>>,
    pub(super) rate_limit_hits: Late<Counter<u64>>,
    pub(super) timeouts: Late<Counter<u64>>,
    pub(super) failovers: Late<Counter<u64>>,
    pub(super) token_details: Late<Counter<u64>>,
    pub(super) streamed_tokens: Late<Counter<u64>>,
    pub(super) streamed_time: Late<Counter<f64>>,
    pub(super) unpriced: Late<Counter<u64>>,
    pub(super) cache_saved_time: Late<Counter<f64>>,
    pub(super) operations: Late<Counter<u64>>,
    pub(super) operation_overhead: Late<Histogram<f64>>,
}

impl Meters {
    /// Makes all of them now.
    pub(super) fn prepare(&self) {
        LazyLock::force(&self.request_duration);
        LazyLock::force(&self.request_size);
        LazyLock::force(&self.response_size);
        LazyLock::force(&self.component_duration);
        LazyLock::force(&self.timer_duration);
        LazyLock::force(&self.experiment_duration);
        LazyLock::force(&self.cache_results);
        LazyLock::force(&self.rate_limit_hits);
        LazyLock::force(&self.timeouts);
        LazyLock::force(&self.failovers);
        LazyLock::force(&self.token_details);
        LazyLock::force(&self.streamed_tokens);
        LazyLock::force(&self.streamed_time);
        LazyLock::force(&self.unpriced);
        LazyLock::force(&self.cache_saved_time);
        LazyLock::force(&self.operations);
        LazyLock::force(&self.operation_overhead);
    }

    pub(super) fn new(meter: &Meter, histograms: &Meter) -> Self {
        let seconds = |name: &'static str, description: &'static str| {
            let meter = histograms.clone();
            late(move || {
                let histogram = meter.f64_histogram(name).with_unit("s");
                histogram.with_description(description).build()
            })
        };
        let time = |name: &'static str, description: &'static str| {
            let meter = meter.clone();
            late(move || {
                let counter = meter.f64_counter(name).with_unit("s");
                counter.with_description(description).build()
            })
        };
        let amounts = |name: &'static str, unit: &'static str, description: &'static str| {
            let meter = histograms.clone();
            late(move || {
                let histogram = meter.u64_histogram(name).with_unit(unit);
                histogram.with_description(description).build()
            })
        };
        let counter = |name: &'static str, unit: &'static str, description: &'static str| {
            let meter = meter.clone();
            late(move || {
                let counter = meter.u64_counter(name).with_unit(unit);
                counter.with_description(description).build()
            })
        };
        Self {
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
            token_details: counter(
                names::TOKEN_DETAILS,
                "{token}",
                "Tokens that are part of those of gen_ai.client.token.usage",
            ),
            unpriced: counter(
                names::UNPRICED,
                "{call}",
                "Calls that used tokens of a model without a price",
            ),
            streamed_tokens: counter(
                names::STREAMED_TOKENS,
                "{token}",
                "Output tokens of streamed answers",
            ),
            streamed_time: time(
                names::STREAMED_TIME,
                "Time in which the output tokens of streamed answers came",
            ),
            cache_saved_time: time(
                names::CACHE_SAVED_TIME,
                "How long answers of the response cache would have taken",
            ),
            operations: counter(
                names::OPERATIONS,
                "{operation}",
                "Operations by how many attempts they took, and what came of these",
            ),
            operation_overhead: seconds(
                names::OPERATION_OVERHEAD,
                "Duration of an operation without its attempts and waits",
            ),
        }
    }
}

pub(super) fn late<I>(build: impl FnOnce() -> I + Send + 'static) -> Late<I> {
    LazyLock::new(Box::new(build))
}
