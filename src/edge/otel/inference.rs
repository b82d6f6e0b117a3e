//! Calls to providers by the names of the newer conventions, where these are asked for.
//!
//! They are recorded beside those of today, which the views are made of.

use super::{
    distribution::Distribution,
    instruments::map,
    keys::AttemptKey,
    meters::{Late, late},
};
use crate::{
    core::{
        measurement::{Count, Measurement},
        recorder::LabelTables,
        word_hash::WordMap,
    },
    names,
};
use opentelemetry::{
    KeyValue,
    metrics::{BoundCounter, Counter, Histogram, Meter},
};
use std::sync::LazyLock;

/// See the module's description.
#[derive(Debug)]
pub(super) struct Inference {
    duration: Late<Histogram<f64>>,
    time_to_first_chunk: Late<Histogram<f64>>,
    time_per_output_chunk: Late<Histogram<f64>>,
    input_tokens: Late<Histogram<u64>>,
    output_tokens: Late<Histogram<u64>>,
    usage: [Late<Counter<u64>>; names::USAGE.len()],
    series: WordMap<AttemptKey, Series>,
    /// By all but the error.
    answers: WordMap<AttemptKey, Answers>,
}

#[derive(Debug)]
struct Series {
    duration: Distribution<f64>,
}

/// What is told of answers, whether they failed or not.
#[derive(Debug, Default)]
struct Answers {
    time_to_first_chunk: Option<Distribution<f64>>,
    time_per_output_chunk: Option<Distribution<f64>>,
    input_tokens: Option<Distribution<u64>>,
    output_tokens: Option<Distribution<u64>>,
    usage: [Option<BoundCounter<u64>>; names::USAGE.len()],
}

impl Inference {
    /// Instruments of `meter`, and histograms of another.
    pub(super) fn new(meter: &Meter, histograms: &Meter) -> Self {
        let seconds = |name: &'static str, description: &'static str| {
            let meter = histograms.clone();
            late(move || {
                let histogram = meter.f64_histogram(name).with_unit("s");
                histogram.with_description(description).build()
            })
        };
        let tokens = |name: &'static str, description: &'static str| {
            let meter = histograms.clone();
            late(move || {
                let histogram = meter.u64_histogram(name).with_unit("{token}");
                histogram.with_description(description).build()
            })
        };
        let usage = |name: &'static str| {
            let meter = meter.clone();
            late(move || {
                let counter = meter.u64_counter(name).with_unit("{token}");
                counter
                    .with_description("Tokens used by inferences")
                    .build()
            })
        };
        Self {
            duration: seconds(names::INFERENCE_DURATION, "Duration of one inference"),
            time_to_first_chunk: seconds(
                names::INFERENCE_TIME_TO_FIRST_CHUNK,
                "Time from the start of an inference to its first chunk",
            ),
            time_per_output_chunk: seconds(
                names::INFERENCE_TIME_PER_OUTPUT_CHUNK,
                "Time for each chunk of an answer after its first",
            ),
            input_tokens: tokens(
                names::INFERENCE_INPUT_TOKENS,
                "Input tokens of one inference",
            ),
            output_tokens: tokens(
                names::INFERENCE_OUTPUT_TOKENS,
                "Output tokens of one inference",
            ),
            usage: names::USAGE.map(usage),
            series: WordMap::default(),
            answers: WordMap::default(),
        }
    }

    /// Makes all instruments now.
    pub(super) fn prepare(&self) {
        LazyLock::force(&self.duration);
        LazyLock::force(&self.time_to_first_chunk);
        LazyLock::force(&self.time_per_output_chunk);
        LazyLock::force(&self.input_tokens);
        LazyLock::force(&self.output_tokens);
        for counter in &self.usage {
            LazyLock::force(counter);
        }
    }

    /// Records an attempt, whose series was admitted.
    pub(super) fn record(&mut self, key: AttemptKey, call: &Measurement, labels: &LabelTables) {
        let series = self.series.entry(key).or_insert_with(|| Series {
            duration: Distribution::new(self.duration.bind(&key.attributes(labels))),
        });
        series.duration.record(call.duration);
        let key = key.without_error();
        let attributes = || key.attributes(labels);
        let answers = self.answers.entry(key).or_default();
        if let Some(nanos) = call.time_to_first_chunk.get() {
            let bind = || Distribution::new(self.time_to_first_chunk.bind(&attributes()));
            let times = answers.time_to_first_chunk.get_or_insert_with(bind);
            times.record(nanos);
        }
        if let Some(nanos) = call.time_per_output_chunk() {
            let bind = || Distribution::new(self.time_per_output_chunk.bind(&attributes()));
            let times = answers.time_per_output_chunk.get_or_insert_with(bind);
            times.record(nanos);
        }
        if let Some(tokens) = call.input_tokens.get() {
            let bind = || Distribution::new(self.input_tokens.bind(&attributes()));
            answers.input_tokens.get_or_insert_with(bind).record(tokens);
        }
        if let Some(tokens) = call.output_tokens.get() {
            let bind = || Distribution::new(self.output_tokens.bind(&attributes()));
            answers
                .output_tokens
                .get_or_insert_with(bind)
                .record(tokens);
        }
        let used: [Count; names::USAGE.len()] = [
            call.input_tokens,
            call.output_tokens,
            call.cache_read_tokens,
            call.cache_write_tokens,
            call.reasoning_tokens,
        ];
        for ((tokens, bound), counter) in used.iter().zip(&mut answers.usage).zip(&self.usage) {
            if let Some(tokens) = tokens.get() {
                let bind = || {
                    let mut attributes = attributes();
                    attributes.push(KeyValue::new(names::TOKEN_MODALITY, "unknown"));
                    counter.bind(&attributes)
                };
                bound.get_or_insert_with(bind).add(tokens);
            }
        }
    }

    /// Records what waits, for somebody who collects.
    pub(super) fn flush(&mut self) {
        for series in self.series.values_mut() {
            series.duration.flush();
        }
        for answers in self.answers.values_mut() {
            let times = &mut answers.time_to_first_chunk;
            times
                .iter_mut()
                .chain(&mut answers.time_per_output_chunk)
                .for_each(Distribution::flush);
            let tokens = &mut answers.input_tokens;
            tokens
                .iter_mut()
                .chain(&mut answers.output_tokens)
                .for_each(Distribution::flush);
        }
    }

    /// Bytes on the heap, without what the SDK has.
    pub(super) fn heap_bytes(&self) -> usize {
        let series = self.series.values().map(|s| s.duration.heap_bytes());
        let answers = self.answers.values().map(|answers| {
            let times = answers.time_to_first_chunk.iter();
            let times = times.chain(&answers.time_per_output_chunk);
            let tokens = answers.input_tokens.iter().chain(&answers.output_tokens);
            times.map(Distribution::heap_bytes).sum::<usize>()
                + tokens.map(Distribution::heap_bytes).sum::<usize>()
        });
        series.sum::<usize>() + answers.sum::<usize>() + map(&self.series) + map(&self.answers)
    }
}
