//! Performance events: the public form, and the bounded ring of the most recent ones.

use super::{
    labels::Label,
    measurement::{Kind, Measurement, Method},
    record::EXPERIMENTS,
    recorder::LabelTables,
};
use crate::{
    clock::Timestamp,
    event_type::{EventFilter, PerformanceEventType},
};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

/// One thing that happened, with what is known about it.
///
/// In JSON the type is spelled as in `REQUEST_END`, the timestamp is in Unix seconds, and the
/// duration is `duration_ms` in milliseconds (`null` if there is none).
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct PerformanceEvent {
    /// Names the event; those that come from spans are numbered within a process.
    pub id: String,
    /// What it tells of.
    #[serde(rename = "type")]
    pub event_type: PerformanceEventType,
    /// When it happened; for work with a duration, when that ended.
    #[serde(serialize_with = "unix_seconds")]
    #[schemars(with = "f64")]
    pub timestamp: Timestamp,
    /// How long it took, if it took time.
    #[serde(rename = "duration_ms", serialize_with = "milliseconds")]
    #[schemars(with = "Option<f64>")]
    pub duration: Option<Duration>,
    /// The part of the gateway it belongs to: `provider`, `endpoint`, or the component's name.
    pub component: String,
    /// What that part did.
    pub operation: String,
    /// Values by recognised or declared keys; others are dropped when the event is recorded.
    ///
    /// Recognised are `provider`, `model`, `endpoint`, `method`, `status_code`, `error_type`,
    /// `cost`, `input_tokens`, `output_tokens`, `cache_read_tokens`, `cache_write_tokens`,
    /// `reasoning_tokens`, `request_size`, `response_size`, `ttft_ms`, `request_id`,
    /// `provider_request_id`, `trace_id` and `span_id` (in hexadecimal digits), `variant`, `success`
    /// (`false` or `0` makes it a failure), and of a failover `from`, `to` and `reason`. Of an
    /// identifier 128 bytes are kept.
    /// A streamed answer has `output_chunks`, and if its tokens are known
    /// `output_tokens_per_second`, from the first chunk to the end: these are only shown.
    /// [`metadata_keys`](crate::MonitorBuilder::metadata_keys) declares more. A value longer than
    /// 256 bytes is cut off.
    pub metadata: BTreeMap<String, String>,
}

impl PerformanceEvent {
    /// An event of `event_type` about `operation` of `component`, without a duration. Its
    /// timestamp is set when it is recorded.
    pub fn new(
        id: impl Into<String>,
        event_type: PerformanceEventType,
        component: impl Into<String>,
        operation: impl Into<String>,
    ) -> Self {
        Self {
            id: id.into(),
            event_type,
            timestamp: Timestamp::EPOCH,
            duration: None,
            component: component.into(),
            operation: operation.into(),
            metadata: BTreeMap::new(),
        }
    }

    /// The same with a duration.
    #[must_use]
    pub fn with_duration(mut self, duration: Duration) -> Self {
        self.duration = Some(duration);
        self
    }

    /// The same with one more metadata value.
    #[must_use]
    pub fn with_metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// What `measurement` says, with its labels spelled out.
    pub(crate) fn from_measurement(
        number: u64,
        measurement: &Measurement,
        labels: &LabelTables,
    ) -> Self {
        let custom = measurement.custom.as_deref();
        let text = |label, table: &super::labels::LabelTable| {
            table.text(label).map(|text| text.to_string())
        };
        let mut metadata: BTreeMap<String, String> = custom
            .map(|custom| custom.metadata.iter().cloned().collect())
            .unwrap_or_default();
        let mut note = |key: &str, value: Option<String>| {
            if let Some(value) = value {
                metadata.insert(key.to_owned(), value);
            }
        };
        let provider_key = if measurement.failover_to == Label::NONE {
            "provider"
        } else {
            "from"
        };
        note(provider_key, text(measurement.provider, &labels.providers));
        note("to", text(measurement.failover_to, &labels.providers));
        note("reason", text(measurement.reason, &labels.reasons));
        note("model", text(measurement.model, &labels.models));
        note("endpoint", text(measurement.endpoint, &labels.endpoints));
        note("method", measurement.method.map(|m| m.text().to_owned()));
        note("status_code", measurement.status.map(|s| s.to_string()));
        note("error_type", measurement.error.map(str::to_owned));
        note("cost", measurement.cost().map(|c| c.usd().to_string()));
        for (key, amount) in [
            ("input_tokens", measurement.input_tokens),
            ("output_tokens", measurement.output_tokens),
            ("cache_read_tokens", measurement.cache_read_tokens),
            ("cache_write_tokens", measurement.cache_write_tokens),
            ("reasoning_tokens", measurement.reasoning_tokens),
            ("request_size", measurement.request_size),
            ("response_size", measurement.response_size),
        ] {
            note(key, amount.get().map(|n| n.to_string()));
        }
        if let Some(custom) = custom {
            note(
                "request_id",
                custom.request_id.as_deref().map(str::to_owned),
            );
            let of_provider = custom.provider_request_id.as_deref();
            note("provider_request_id", of_provider.map(str::to_owned));
            let trace = custom.trace.unwrap_or_default();
            note("trace_id", trace.trace_text());
            note("span_id", trace.span_text());
        }
        if measurement.event == PerformanceEventType::CacheHit && measurement.duration > 0 {
            let saved = measurement.duration as f64 / 1e6;
            note("saved_ms", Some(saved.to_string()));
        }
        let chain = measurement.chain;
        if chain.attempts > 0 {
            note("attempts", Some(chain.attempts.to_string()));
            note("exhausted", chain.exhausted.then(|| true.to_string()));
            let overhead = chain.overhead.get();
            note(
                "gateway_overhead_ms",
                overhead.map(|nanos| (nanos as f64 / 1e6).to_string()),
            );
        }
        if measurement.kind == Kind::Experiment {
            let variant = text(measurement.component_operation, &labels.variants);
            note("variant", variant);
        }
        let ttft = measurement.time_to_first_chunk.get();
        note(
            "ttft_ms",
            ttft.map(|nanos| (nanos as f64 / 1e6).to_string()),
        );

        if measurement.chunks > 0 {
            note("output_chunks", Some(measurement.chunks.to_string()));
            note(
                "output_tokens_per_second",
                tokens_per_second(measurement).map(|rate| format!("{rate:.3}")),
            );
        }

        let endpoint = || {
            let path = text(measurement.endpoint, &labels.endpoints);
            let method = measurement.method.map_or("", Method::text);
            format!("{method} {}", path.unwrap_or_default())
                .trim()
                .to_owned()
        };
        let (component, operation) = match measurement.kind {
            Kind::Attempt => (
                Some("provider".to_owned()),
                text(measurement.operation, &labels.operations),
            ),
            Kind::Operation => (Some("endpoint".to_owned()), Some(endpoint())),
            Kind::Experiment => (
                Some(EXPERIMENTS.to_owned()),
                text(measurement.component, &labels.experiments),
            ),
            Kind::Component | Kind::Signal | Kind::Timer => (
                text(measurement.component, &labels.components),
                text(
                    measurement.component_operation,
                    &labels.component_operations,
                ),
            ),
        };
        Self {
            id: custom
                .map(|custom| custom.id.clone())
                .filter(|id| !id.is_empty())
                .unwrap_or_else(|| format!("evt-{number}")),
            event_type: measurement.event,
            timestamp: measurement.ended,
            duration: (measurement.kind != Kind::Signal).then(|| measurement.duration()),
            component: component.unwrap_or_default(),
            operation: operation.unwrap_or_default(),
            metadata,
        }
    }
}

/// Tokens of a streamed answer, by the time from its first chunk to its end.
fn tokens_per_second(measurement: &Measurement) -> Option<f64> {
    let tokens = measurement.output_tokens.get()?;
    let nanos = measurement.time_after_first_chunk()?;
    (nanos > 0).then(|| tokens as f64 * 1e9 / nanos as f64)
}

fn unix_seconds<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_unix_seconds())
}

fn milliseconds<S: Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => serializer.serialize_f64(duration.as_secs_f64() * 1e3),
        None => serializer.serialize_none(),
    }
}

/// The newest of them at one moment, spelled out only when somebody asks.
#[derive(Debug, Clone, Default)]
pub(crate) struct NewestEvents {
    events: Vec<(u64, Measurement)>,
    labels: Option<Arc<LabelTables>>,
}

impl NewestEvents {
    pub(crate) const fn new(events: Vec<(u64, Measurement)>, labels: Arc<LabelTables>) -> Self {
        Self {
            events,
            labels: Some(labels),
        }
    }

    /// The newest `count`, newest last.
    pub(crate) fn newest(&self, count: usize) -> Vec<PerformanceEvent> {
        let Some(labels) = &self.labels else {
            return Vec::new();
        };
        let older = self.events.len().saturating_sub(count);
        let newest = self.events.iter().skip(older);
        newest
            .map(|(number, m)| PerformanceEvent::from_measurement(*number, m, labels))
            .collect()
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        let events = self.events.iter();
        let custom: usize = events.map(|(_, m)| m.heap_bytes()).sum();
        self.events.capacity() * size_of::<(u64, Measurement)>() + custom
    }
}

/// The most recent measurements, spelled out only when somebody asks.
#[derive(Debug)]
pub(crate) struct RecentEvents {
    ring: VecDeque<(u64, Measurement)>,
    capacity: usize,
    filter: EventFilter,
    number: u64,
}

impl RecentEvents {
    pub(crate) fn new(capacity: usize, filter: EventFilter) -> Self {
        Self {
            ring: VecDeque::with_capacity(capacity),
            capacity,
            filter,
            number: 0,
        }
    }

    /// Keeps `measurement`, in the place of the oldest if there is no other.
    #[inline]
    pub(crate) fn push(&mut self, measurement: Measurement) {
        self.number += 1;
        if self.capacity == 0 || !self.filter.keeps(measurement.event, measurement.failed()) {
            return;
        }
        if self.ring.len() >= self.capacity {
            self.ring.pop_front();
        }
        self.ring.push_back((self.number, measurement));
    }

    /// From now on keeps what `filter` keeps; what was kept before stays until newer ones come.
    pub(crate) const fn set_filter(&mut self, filter: EventFilter) {
        self.filter = filter;
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        let custom: usize = self.ring.iter().map(|(_, m)| m.heap_bytes()).sum();
        self.ring.capacity() * size_of::<(u64, Measurement)>() + custom
    }

    /// How many events there have been, kept or not.
    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    /// The newest `count` of the kept ones, newest last.
    pub(crate) fn newest(&self, count: usize) -> Vec<(u64, Measurement)> {
        let older = self.ring.len().saturating_sub(count);
        self.ring.iter().skip(older).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(event: PerformanceEventType) -> Measurement {
        Measurement::new(Kind::Signal, event)
    }

    #[test]
    fn the_ring_keeps_the_newest() {
        let mut recent = RecentEvents::new(3, EventFilter::ALL);
        for _ in 0..5 {
            recent.push(of(PerformanceEventType::CacheHit));
        }
        let numbers: Vec<u64> = recent.newest(10).iter().map(|(n, _)| *n).collect();
        assert_eq!(numbers, [3, 4, 5]);
    }

    #[test]
    fn a_filter_chooses_what_is_kept() {
        let filter = EventFilter::types([PerformanceEventType::ProviderEnd]).failures_only();
        let mut recent = RecentEvents::new(10, filter);
        let mut failed = of(PerformanceEventType::ProviderEnd);
        failed.error = Some("timeout");
        recent.push(failed);
        recent.push(of(PerformanceEventType::ProviderEnd));
        recent.push(of(PerformanceEventType::CacheHit));
        assert_eq!(recent.newest(10).len(), 1);
    }

    #[test]
    fn types_are_spelled_as_the_guide_has_them() {
        let spelled = serde_json::to_value(PerformanceEventType::FailoverInitiated).unwrap();
        assert_eq!(spelled, "FAILOVER_INITIATED");
    }

    #[test]
    fn an_attempt_is_spelled_out() {
        let labels = LabelTables::for_tests();
        let mut attempt = Measurement::new(Kind::Attempt, PerformanceEventType::ProviderEnd);
        attempt.provider = labels.providers.label("cerebras");
        attempt.model = labels.models.label("llama3.1-70b");
        attempt.duration = 850_500_000;
        attempt.status = Some(200);
        let event = PerformanceEvent::from_measurement(7, &attempt, &labels);
        let json = serde_json::to_value(&event).unwrap();
        assert_eq!(json["id"], "evt-7");
        assert_eq!(json["type"], "PROVIDER_END");
        assert_eq!(json["duration_ms"], 850.5);
        assert_eq!(json["metadata"]["provider"], "cerebras");
        assert_eq!(json["metadata"]["status_code"], "200");
    }
}
