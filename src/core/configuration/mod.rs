//! The configuration: what is in force, and how a change of it is written.

#[cfg(feature = "server")]
mod change;
#[cfg(feature = "server")]
mod json;
#[cfg(feature = "server")]
mod read;
mod scope;

use schemars::JsonSchema;
use serde::Serialize;

use crate::config::Config;
use crate::core::alerts::rule::{AlertMetric, AlertRule, AlertScope, Comparison, Severity};
use crate::core::settings::{MAX_RULES, Settings};
use crate::core::span;
use crate::event_type::{EventFilter, PerformanceEventType};

#[cfg(feature = "server")]
pub(crate) use change::{Change, Wrong, WrongKind};

/// What can be changed while the monitor runs.
const CHANGEABLE: [&str; 4] = [
    "alert_thresholds",
    "collection_interval_seconds",
    "events",
    "retention_seconds",
];

/// All that is in force: the answer of `/performance/config`.
///
/// What of it `can_be_changed` may be sent back there, whole or in part, as a change. Tokens,
/// addresses and keys are no part of it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct Configuration {
    /// Whether the monitor measures.
    pub monitoring_active: bool,
    /// The time between two collections.
    pub collection_interval_seconds: f64,
    /// For how long windows reach back.
    pub retention_seconds: f64,
    /// What is watched for, beside the closures that the host watches with.
    pub alert_thresholds: Vec<AlertThreshold>,
    /// Which events are kept among the recent ones.
    pub events: ConfiguredEvents,
    /// What bounds the monitor's memory. These are set when it is built.
    pub limits: ConfiguredLimits,
    /// The fields that a change may have.
    pub can_be_changed: Vec<&'static str>,
}

/// A rule as it is in force.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct AlertThreshold {
    /// Names the rule: the id that it was given, or what it says.
    pub id: String,
    /// What is watched.
    pub metric: AlertMetric,
    /// What it is compared with.
    pub threshold: f64,
    /// How.
    pub comparison: Comparison,
    /// How bad it is.
    pub severity: Severity,
    /// Where it is watched.
    pub scope: AlertScope,
    /// The time over which the metric is taken, such as `5m`.
    pub window: String,
    /// For how long it has to be the case before it fires, such as `0s`.
    #[serde(rename = "for")]
    pub pending_for: String,
    /// With fewer samples it says nothing.
    pub min_samples: u64,
    /// Whether it is superseded while a provider's alert tells the same.
    pub unless_a_provider_fails: bool,
}

/// Which events are kept among the recent ones. All are counted in any case.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct ConfiguredEvents {
    /// Those of these types.
    pub types: Vec<PerformanceEventType>,
    /// Of these only those that tell of a failure.
    pub failures_only: bool,
}

/// What bounds the monitor's memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct ConfiguredLimits {
    /// Providers beyond the configured ones.
    pub providers: usize,
    /// Models beyond the configured ones, over all providers.
    pub models: usize,
    /// Endpoints beyond the configured ones.
    pub endpoints: usize,
    /// Components.
    pub components: usize,
    /// Experiments.
    pub experiments: usize,
    /// Names of timers.
    pub timers: usize,
    /// Memory for windows, in bytes, before they are made coarser.
    pub window_memory_bytes: usize,
    /// Spans, requests and operations that are open at once.
    pub max_open: usize,
    /// Recent events that are kept.
    pub recent_events: usize,
    /// Rules, closures left out.
    pub alert_thresholds: usize,
}

impl Configuration {
    pub(crate) fn new(active: bool, settings: &Settings, config: &Config) -> Self {
        Self {
            monitoring_active: active,
            collection_interval_seconds: settings.collection_interval.as_secs_f64(),
            retention_seconds: settings.retention.as_secs_f64(),
            alert_thresholds: settings.rules.iter().map(AlertThreshold::of).collect(),
            events: ConfiguredEvents::of(settings.event_filter),
            limits: ConfiguredLimits {
                providers: config.limits.providers,
                models: config.limits.models,
                endpoints: config.limits.endpoints,
                components: config.limits.components,
                experiments: config.limits.experiments,
                timers: config.limits.timers,
                window_memory_bytes: config.window_memory,
                max_open: config.max_open,
                recent_events: config.recent_events,
                alert_thresholds: MAX_RULES,
            },
            can_be_changed: CHANGEABLE.to_vec(),
        }
    }
}

impl AlertThreshold {
    fn of(rule: &AlertRule) -> Self {
        Self {
            id: rule.id(),
            metric: rule.metric,
            threshold: rule.threshold,
            comparison: rule.comparison,
            severity: rule.severity,
            scope: rule.scope.clone(),
            window: span::written(rule.window),
            pending_for: span::written(rule.pending_for),
            min_samples: rule.min_samples,
            unless_a_provider_fails: rule.unless_a_provider_fails,
        }
    }
}

impl ConfiguredEvents {
    fn of(filter: EventFilter) -> Self {
        Self {
            types: filter.kept_types().collect(),
            failures_only: filter.keeps_failures_only(),
        }
    }
}

#[cfg(feature = "server")]
#[cfg(test)]
mod tests;
