//! Recording by hand: the guide's calls, for code that does not use spans.

use super::{
    error_type,
    events::PerformanceEvent,
    labels::is_unprintable,
    measurement::{Custom, Kind, Measurement, Method},
    money::NanoUsd,
    recorder::{DropReason, Recorder, label_of, nanos, settle_status},
};
use crate::{clock::Timestamp, event_type::PerformanceEventType, names};
use std::time::Duration;

/// Names an operation between its start and its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventId(Option<u64>);

/// The metadata keys that are kept without being declared.
const RECOGNISED_KEYS: [&str; 17] = [
    "provider",
    "model",
    "endpoint",
    "method",
    "status_code",
    "error_type",
    "cost",
    "input_tokens",
    "output_tokens",
    "request_size",
    "response_size",
    "ttft_ms",
    "request_id",
    "variant",
    "success",
    "from",
    "to",
];

/// The component of an event that tells of one try of a variant of an experiment.
pub(crate) const EXPERIMENTS: &str = "abtest";

/// A longer metadata value is cut off.
const MAX_METADATA_BYTES: usize = 256;

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
            operation.custom = Some(Box::new(Custom {
                id: shown(request_id),
                metadata: Vec::new(),
            }));
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
        operation
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
        let mut kept = Vec::new();
        for (key, value) in event.metadata {
            let number = || self.count_of(value.parse().unwrap_or(u64::MAX));
            match key.as_str() {
                "provider" => measurement.provider = labels.providers.label(&value),
                "model" => measurement.model = labels.models.label(&value),
                "endpoint" => measurement.endpoint = labels.endpoints.label(&value),
                "method" => measurement.method = Some(Method::from_text(&value)),
                "error_type" => measurement.error = failure(true, &value),
                "status_code" => {
                    measurement.status = self.status_of(value.parse().unwrap_or(0));
                }
                "cost" => {
                    let cost = value.parse().unwrap_or(f64::NAN);
                    self.note_cost(&mut measurement, cost);
                }
                "input_tokens" => measurement.input_tokens = number(),
                "output_tokens" => measurement.output_tokens = number(),
                "request_size" => measurement.request_size = number(),
                "response_size" => measurement.response_size = number(),
                "from" => measurement.provider = labels.providers.label(&value),
                "to" => measurement.failover_to = labels.providers.label(&value),
                "success" => {
                    failed |= value.eq_ignore_ascii_case("false") || value == "0";
                    kept.push((key, shown(&value)));
                }
                "variant" if measurement.kind == Kind::Experiment => {
                    measurement.component_operation = labels.variants.label(&value);
                }
                _ if RECOGNISED_KEYS.contains(&key.as_str())
                    || self.metadata_keys.contains(&key) =>
                {
                    kept.push((key, shown(&value)));
                }
                _ => {}
            }
        }
        if !event.id.is_empty() || !kept.is_empty() {
            measurement.custom = Some(Box::new(Custom {
                id: shown(&event.id),
                metadata: kept,
            }));
        }
        settle_status(&mut measurement);
        if failed && !measurement.failed() {
            measurement.error = Some(names::OTHER);
        }
        self.offer(measurement);
    }

    pub(crate) fn note_cost(&self, measurement: &mut Measurement, cost_usd: f64) {
        match NanoUsd::from_usd(cost_usd) {
            Some(cost) => measurement.set_cost(cost),
            None => self.unreadable(),
        }
    }

    /// Completes `measurement`, which began at `started`, and takes it on.
    pub(crate) fn finish(&self, mut measurement: Measurement, started: Timestamp) {
        measurement.ended = self.now();
        measurement.duration = nanos(measurement.ended, started);
        settle_status(&mut measurement);
        self.offer(measurement);
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

/// `text` as it may be shown: cut to a length, without what drives a terminal.
fn shown(text: &str) -> String {
    let end = text.floor_char_boundary(MAX_METADATA_BYTES);
    let cut = text.get(..end).unwrap_or_default();
    cut.chars().filter(|c| !is_unprintable(*c)).collect()
}
