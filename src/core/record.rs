//! Recording by hand: the guide's calls, for code that does not use spans.

use super::{
    error_type,
    events::PerformanceEvent,
    labels::is_unprintable,
    measurement::{Custom, Kind, Measurement, Method},
    money::NanoUsd,
    recorder::{DropReason, Recorder, label_of, settle_status},
    trace_link,
};
use crate::{clock::Timestamp, event_type::PerformanceEventType, names};
use std::time::Duration;

/// Names an operation between its start and its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventId(Option<u64>);

/// The component of an event that tells of one try of a variant of an experiment.
pub(crate) const EXPERIMENTS: &str = "abtest";

/// A longer metadata value is cut off.
const MAX_METADATA_BYTES: usize = 256;
/// A longer identifier is cut off.
const MAX_ID_BYTES: usize = 128;

impl Recorder {
    /// One finished call to a provider.
    pub(crate) fn provider_request(
        &self,
        provider: &str,
        model: &str,
        duration: Duration,
        success: bool,
        error_type: &str,
        cost_usd: f64,
    ) {
        let Ok(duration) = u64::try_from(duration.as_nanos()) else {
            return self.refuse(DropReason::InvalidValue);
        };
        let mut attempt = Measurement::new(Kind::Attempt, PerformanceEventType::ProviderEnd);
        attempt.ended = self.now();
        attempt.duration = duration;
        attempt.provider = self.labels.providers.label(provider);
        attempt.model = label_of(&self.labels.models, model);
        attempt.error = failure(success, error_type);
        attempt.set_trace((self.current_trace)());
        self.note_cost(&mut attempt, cost_usd);
        self.offer(attempt);
    }

    /// An operation begins.
    pub(crate) fn request_start(
        &self,
        request_id: &str,
        endpoint: &str,
        method: &str,
        provider: &str,
        model: &str,
    ) -> EventId {
        let mut operation = self.operation(endpoint, method);
        operation.provider = label_of(&self.labels.providers, provider);
        operation.model = label_of(&self.labels.models, model);
        if !request_id.is_empty() {
            custom(&mut operation).id = shown(request_id);
        }
        let mut start = operation.clone();
        start.kind = Kind::Signal;
        start.event = PerformanceEventType::RequestStart;
        start.ended = self.now();
        self.offer(start);
        EventId(self.begin(operation, false))
    }

    /// The operation ends; whether it was open.
    pub(crate) fn request_end(
        &self,
        EventId(key): EventId,
        success: bool,
        status_code: u16,
        response_size: u64,
        error_type: &str,
        cost_usd: f64,
    ) -> bool {
        key.is_some_and(|key| {
            self.end(key, |operation| {
                // Zero says that there is none.
                operation.status = (status_code != 0)
                    .then(|| self.status_of(status_code))
                    .flatten();
                operation.response_size = self.count_of(response_size);
                operation.error = match operation.status {
                    // The status itself says why.
                    Some(400..) if error_type.is_empty() => None,
                    _ => failure(success, error_type),
                };
                self.note_cost(operation, cost_usd);
            })
        })
    }

    /// An operation with its endpoint and method.
    pub(crate) fn operation(&self, endpoint: &str, method: &str) -> Measurement {
        let mut operation = Measurement::new(Kind::Operation, PerformanceEventType::RequestEnd);
        operation.endpoint = self.labels.endpoints.label(endpoint);
        operation.method = (!method.is_empty()).then(|| Method::from_text(method));
        operation.set_trace((self.current_trace)());
        operation
    }

    /// Something that happened, with what `tell` says of it.
    pub(crate) fn signal(
        &self,
        event: PerformanceEventType,
        provider: &str,
        model: &str,
        tell: impl FnOnce(&mut Measurement),
    ) {
        let mut signal = Measurement::new(Kind::Signal, event);
        signal.ended = self.now();
        signal.provider = label_of(&self.labels.providers, provider);
        signal.model = label_of(&self.labels.models, model);
        tell(&mut signal);
        self.offer(signal);
    }

    /// One try of a variant of an experiment.
    pub(crate) fn variant(&self, test: &str, variant: &str, duration: Duration, success: bool) {
        let Ok(duration) = u64::try_from(duration.as_nanos()) else {
            return self.refuse(DropReason::InvalidValue);
        };
        let mut tried = Measurement::new(Kind::Experiment, PerformanceEventType::RequestEnd);
        tried.ended = self.now();
        tried.duration = duration;
        tried.component = self.labels.experiments.label(test);
        tried.component_operation = self.labels.variants.label(variant);
        tried.error = failure(success, "");
        self.offer(tried);
    }

    /// An event made by hand.
    pub(crate) fn event(&self, event: PerformanceEvent) {
        let labels = &self.labels;
        let Ok(duration) = u64::try_from(event.duration.unwrap_or_default().as_nanos()) else {
            return self.refuse(DropReason::InvalidValue);
        };
        let mut measurement = Measurement::new(kind_of(&event), event.event_type);
        let now = self.now();
        measurement.ended = if event.timestamp == Timestamp::EPOCH {
            now
        } else {
            // What has not happened yet would wait for a later collection.
            event.timestamp.min(now)
        };
        measurement.duration = duration;
        let mut failed = event.event_type == PerformanceEventType::Error;
        if measurement.kind == Kind::Experiment {
            measurement.component = labels.experiments.label(&event.operation);
        } else {
            measurement.component = label_of(&labels.components, &event.component);
            let operation = label_of(&labels.component_operations, &event.operation);
            measurement.component_operation = operation;
        }
        if matches!(measurement.kind, Kind::Attempt | Kind::Operation)
            && !event.metadata.contains_key("trace_id")
        {
            measurement.set_trace((self.current_trace)());
        }
        for (key, value) in &event.metadata {
            failed |= self.note(&mut measurement, key, value);
        }
        if !event.id.is_empty() {
            custom(&mut measurement).id = shown(&event.id);
        }
        settle(&mut measurement, failed);
        self.offer(measurement);
    }

    /// Takes over one metadata value: into the field that its key names, as it is if the key is
    /// recognised otherwise or declared, else not at all. Whether it says that it was a failure.
    pub(crate) fn note(&self, measurement: &mut Measurement, key: &str, value: &str) -> bool {
        let labels = &self.labels;
        let count = || self.count_of(value.parse().unwrap_or(u64::MAX));
        let number = || value.parse::<f64>().unwrap_or(f64::NAN);
        match key {
            "provider" | "from" => measurement.provider = labels.providers.label(value),
            "to" => measurement.failover_to = labels.providers.label(value),
            "reason" if measurement.event == PerformanceEventType::FailoverInitiated => {
                measurement.reason = labels.reasons.label(value);
            }
            "model" => measurement.model = labels.models.label(value),
            "endpoint" => measurement.endpoint = labels.endpoints.label(value),
            "method" => measurement.method = Some(Method::from_text(value)),
            "error_type" => measurement.error = failure(true, value),
            "status_code" => measurement.status = self.status_of(value.parse().unwrap_or(0)),
            "cost" => self.note_cost(measurement, number()),
            "ttft_ms" => self.note_first_chunk(measurement, number() * 1e6),
            "input_tokens" => measurement.input_tokens = count(),
            "output_tokens" => measurement.output_tokens = count(),
            "cache_read_tokens" => measurement.cache_read_tokens = count(),
            "cache_write_tokens" => measurement.cache_write_tokens = count(),
            "reasoning_tokens" => measurement.reasoning_tokens = count(),
            "request_size" => measurement.request_size = count(),
            "response_size" => measurement.response_size = count(),
            "success" => {
                keep(measurement, key, value);
                return value.eq_ignore_ascii_case("false") || value == "0";
            }
            "variant" if measurement.kind == Kind::Experiment => {
                measurement.component_operation = labels.variants.label(value);
            }
            "request_id" => custom(measurement).request_id = Some(id_of(value)),
            "provider_request_id" => custom(measurement).provider_request_id = Some(id_of(value)),
            "trace_id" => match trace_link::read(value) {
                Some(id) => custom(measurement).trace.get_or_insert_default().trace_id = id,
                None => self.unreadable(),
            },
            "span_id" => match trace_link::read(value) {
                Some(id) => custom(measurement).trace.get_or_insert_default().span_id = id,
                None => self.unreadable(),
            },
            "variant" => keep(measurement, key, value),
            _ if self.metadata_keys.iter().any(|declared| declared == key) => {
                keep(measurement, key, value);
            }
            _ => {}
        }
        false
    }

    fn note_first_chunk(&self, measurement: &mut Measurement, nanos: f64) {
        if !measurement.set_time_to_first_chunk(nanos) {
            self.unreadable();
        }
    }

    pub(crate) fn note_cost(&self, measurement: &mut Measurement, cost_usd: f64) {
        match NanoUsd::from_usd(cost_usd) {
            Some(cost) => measurement.set_cost(cost),
            None => self.unreadable(),
        }
    }
}

/// What an event made by hand counts as.
fn kind_of(event: &PerformanceEvent) -> Kind {
    let has = |key| event.metadata.contains_key(key);
    match event.event_type {
        _ if event.component == EXPERIMENTS && event.duration.is_some() && has("variant") => {
            Kind::Experiment
        }
        PerformanceEventType::ProviderEnd if has("provider") || has("model") => Kind::Attempt,
        PerformanceEventType::RequestEnd if has("endpoint") => Kind::Operation,
        _ if event.duration.is_some() && !event.component.is_empty() => Kind::Component,
        _ => Kind::Signal,
    }
}

/// Why it failed; `None` for a success without an error type.
fn failure(success: bool, error_type: &str) -> Option<&'static str> {
    match (success, error_type) {
        (true, "") => None,
        (false, "") => Some(names::OTHER),
        (_, text) => Some(error_type::canonical(text)),
    }
}

/// The error type of what is complete, `failed` if it says so in words.
pub(crate) fn settle(measurement: &mut Measurement, failed: bool) {
    settle_status(measurement);
    if failed && !measurement.failed() {
        measurement.error = Some(names::OTHER);
    }
}

fn custom(measurement: &mut Measurement) -> &mut Custom {
    measurement.custom.get_or_insert_default()
}

/// An identifier as it may be shown: cut to a length.
pub(crate) fn id_of(text: &str) -> Box<str> {
    let mut id = shown(text);
    id.truncate(id.floor_char_boundary(MAX_ID_BYTES));
    id.into()
}

/// Keeps `value` as it is, in the place of an earlier one.
fn keep(measurement: &mut Measurement, key: &str, value: &str) {
    let metadata = &mut custom(measurement).metadata;
    match metadata.iter_mut().find(|(kept, _)| kept == key) {
        Some((_, kept)) => *kept = shown(value),
        None => metadata.push((key.to_owned(), shown(value))),
    }
}

/// `text` as it may be shown: cut to a length, without what drives a terminal.
fn shown(text: &str) -> String {
    let end = text.floor_char_boundary(MAX_METADATA_BYTES);
    let cut = text.get(..end).unwrap_or_default();
    cut.chars().filter(|c| !is_unprintable(*c)).collect()
}
