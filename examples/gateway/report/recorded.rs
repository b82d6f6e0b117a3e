//! The exact durations that the gateway recorded, as the monitor's events tell them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

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
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let field = |name| event.metadata.get(name).cloned().unwrap_or_default();
        let kept = match event.event_type {
            PerformanceEventType::ProviderEnd => series
                .attempts
                .entry(field("provider"))
                .or_default()
                .entry(field("model"))
                .or_default(),
            PerformanceEventType::RequestEnd => {
                series.operations.entry(field("endpoint")).or_default()
            }
            _ => return,
        };
        let Some(duration) = event.duration else {
            return;
        };
        if kept.samples.len() < KEPT {
            let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
            kept.samples.push(Sample {
                ended: event.timestamp.as_unix_seconds(),
                nanoseconds,
            });
        } else {
            kept.left_out += 1;
        }
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
