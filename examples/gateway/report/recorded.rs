//! The exact durations that the gateway recorded, as the monitor's events tell them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aimux_otel::{Coverage, PerformanceEvent, PerformanceEventType};
use serde_json::{Map, Value, json};

use super::samples::{KEPT, Samples};

/// Every attempt and every operation, by what it was.
#[derive(Default)]
pub(crate) struct Recorded {
    series: Mutex<Series>,
}

#[derive(Default)]
struct Series {
    attempts: BTreeMap<String, BTreeMap<String, Kept>>,
    operations: BTreeMap<String, Kept>,
}

#[derive(Default)]
struct Kept {
    samples: Vec<Sample>,
    left_out: u64,
}

struct Sample {
    ended: f64,
    nanoseconds: u64,
}

/// From one Unix time in seconds to another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Within {
    pub(crate) start: f64,
    pub(crate) end: f64,
}

impl Within {
    pub(crate) fn of(coverage: &Coverage) -> Self {
        Self {
            start: coverage.window_start,
            end: coverage.window_end,
        }
    }
}

impl Recorded {
    /// Called by the monitor for each event, not on the thread of the request.
    pub(crate) fn take(&self, event: &PerformanceEvent) {
        let field = |name| event.metadata.get(name).cloned();
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = match (event.event_type, field("provider"), field("endpoint")) {
            (PerformanceEventType::ProviderEnd, Some(provider), _) => {
                let model = field("model").unwrap_or_default();
                let models = series.attempts.entry(provider).or_default();
                models.entry(model).or_default()
            }
            // Component work ends with a REQUEST_END as well, but has no endpoint.
            (PerformanceEventType::RequestEnd, _, Some(endpoint)) => {
                series.operations.entry(endpoint).or_default()
            }
            _ => return,
        };
        kept.push(event.timestamp.as_unix_seconds(), event.duration);
    }

    /// The exact percentiles of each provider and of its models.
    pub(crate) fn providers(&self, within: Option<Within>) -> Value {
        let series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let providers = series.attempts.iter().map(|(provider, models)| {
            let mut all = Samples::default();
            let mut by_model = Map::new();
            for (model, kept) in models {
                let samples = kept.within(within);
                all.append(&samples);
                by_model.insert(model.clone(), samples.json());
            }
            (
                provider.clone(),
                json!({ "all": all.json(), "models": by_model }),
            )
        });
        providers.collect()
    }

    /// The exact percentiles of each endpoint.
    pub(crate) fn endpoints(&self, within: Option<Within>) -> Value {
        let series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let operations = series.operations.iter();
        operations
            .map(|(endpoint, kept)| (endpoint.clone(), kept.within(within).json()))
            .collect()
    }
}

impl Kept {
    fn push(&mut self, ended: f64, duration: Option<Duration>) {
        let Some(duration) = duration else {
            return;
        };
        if self.samples.len() == KEPT {
            self.left_out += 1;
            return;
        }
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.samples.push(Sample { ended, nanoseconds });
    }

    fn within(&self, within: Option<Within>) -> Samples {
        let mut samples = Samples::default();
        for sample in &self.samples {
            if within.is_none_or(|span| span.start < sample.ended && sample.ended <= span.end) {
                samples.push_nanoseconds(sample.nanoseconds);
            }
        }
        samples.leave_out(self.left_out);
        samples
    }
}
