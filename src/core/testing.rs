//! Test support: plain records made into collections, as a reader of the SDK would.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
#[cfg(feature = "push")]
use crate::core::alerts::{
    change::AlertChange,
    rule::Severity,
    view::{AlertDetail, AlertState},
};
use crate::core::histogram::ExponentialHistogram;
use crate::core::series::{Collection, Labels, MetricInfo, SeriesKey, Value};
use crate::core::snapshot::{Configured, Snapshot};
use crate::core::window::{WindowConfig, Windows};
use crate::names;

/// A day after the epoch, where no cell of the ladder begins.
pub(crate) const START: Timestamp = Timestamp::from_unix_nanos(86_407_123_456_789_000);

/// The scale that the SDK's streams are given.
pub(crate) const SCALE: i8 = 6;

/// A series of the scope `aimux-otel`.
pub(crate) fn key<const N: usize>(metric: &str, labels: [(&str, &str); N]) -> SeriesKey {
    key_of(names::SCOPE, metric, labels)
}

/// A series of any scope.
pub(crate) fn key_of<const N: usize>(
    scope: &str,
    metric: &str,
    labels: [(&str, &str); N],
) -> SeriesKey {
    SeriesKey {
        scope: scope.into(),
        metric: metric.into(),
        labels: Labels::from(labels),
    }
}

/// Records, and collects what was recorded.
pub(crate) struct Bench {
    pub(crate) windows: Windows,
    pub(crate) configured: Configured,
    pub(crate) now: Timestamp,
    since: Timestamp,
    points: BTreeMap<SeriesKey, Value>,
    units: BTreeMap<(Arc<str>, Arc<str>), MetricInfo>,
}

impl Bench {
    pub(crate) fn new(retention: Duration) -> Self {
        Self::with(WindowConfig {
            retention,
            ..WindowConfig::default()
        })
    }

    pub(crate) fn with(config: WindowConfig) -> Self {
        Self {
            windows: Windows::new(config),
            configured: Configured::new(),
            now: START,
            since: START,
            points: BTreeMap::new(),
            units: BTreeMap::new(),
        }
    }

    /// One value of an exponential histogram.
    pub(crate) fn record(&mut self, key: SeriesKey, value: f64) {
        let empty = || Value::Exponential(ExponentialHistogram::new(SCALE));
        if let Value::Exponential(histogram) = self.points.entry(key).or_insert_with(empty) {
            histogram.record(value);
        }
    }

    /// An addition to a sum.
    pub(crate) fn add(&mut self, key: SeriesKey, amount: f64) {
        if let Value::Sum(sum) = self.points.entry(key).or_insert(Value::Sum(0.0)) {
            *sum += amount;
        }
    }

    /// Any value.
    pub(crate) fn set(&mut self, key: SeriesKey, value: Value) {
        self.points.insert(key, value);
    }

    /// The unit of a metric.
    pub(crate) fn unit(&mut self, scope: &str, metric: &str, unit: &str) {
        let description = "".into();
        let info = MetricInfo {
            unit: unit.into(),
            description,
        };
        self.units.insert((scope.into(), metric.into()), info);
    }

    /// Lets time pass, then collects.
    pub(crate) fn collect_after(&mut self, time: Duration) {
        self.now = self.now.after(time);
        self.windows.append(Collection {
            since: self.since,
            until: self.now,
            points: std::mem::take(&mut self.points).into_iter().collect(),
            metrics: self.units.clone(),
        });
        self.since = self.now;
    }

    /// What the monitor would publish now.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let configured = Arc::new(self.configured.clone());
        let mut snapshot = Snapshot::empty(START, Duration::ZERO, configured);
        snapshot.history = self.windows.history();
        snapshot.collected_at = self.since;
        snapshot
    }
}

/// An alert of the rule `rule` that fires.
#[cfg(feature = "push")]
pub(crate) fn firing(rule: &str) -> AlertDetail {
    AlertDetail {
        rule: rule.to_owned(),
        metric: "error_rate_percent".to_owned(),
        scope: "provider cerebras".to_owned(),
        severity: Severity::Critical,
        state: AlertState::Firing,
        value: Some(12.5),
        comparison: Some(">"),
        threshold: Some(10.0),
        since: 1.5,
        message: "12.5 % of the calls fail".to_owned(),
        labels: [("rule", rule), ("provider", "cerebras")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
    }
}

/// That it has begun to.
#[cfg(feature = "push")]
pub(crate) fn change(rule: &str) -> AlertChange {
    let detail = firing(rule);
    AlertChange {
        rule: detail.rule,
        metric: detail.metric,
        scope: detail.scope,
        severity: detail.severity,
        state: detail.state,
        resolved_because: None,
        value: detail.value,
        threshold: detail.threshold,
        message: detail.message,
        labels: detail.labels,
        at: detail.since,
        since: detail.since,
    }
}
