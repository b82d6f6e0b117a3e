//! A change of state of an alert, and who is told of it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::core::alerts::rule::Severity;
use crate::core::alerts::view::{AlertDetail, AlertState};

/// Why an alert was resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ResolvedBecause {
    /// It is not the case any more.
    Cleared,
    /// For longer than its window there were too few samples to tell.
    NoData,
    /// A worse alert of the same thing fires, and stands for it.
    Superseded,
    /// Its rule was removed, or replaced by one that does not fire.
    Removed,
}

/// An alert has become pending, has begun to fire, or has been resolved.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct AlertChange {
    /// The id of its rule.
    pub rule: String,
    /// The metric, as it is spelled in the configuration; `custom` for a rule that is a closure.
    pub metric: String,
    /// Where: `process`, `gateway`, `provider <name>`, `model <provider>/<model>`,
    /// `endpoint <path>`; what its closure said for a custom rule.
    pub scope: String,
    /// `info`, `warning` or `critical`.
    pub severity: Severity,
    /// `pending`, `firing` or `resolved`.
    pub state: AlertState,
    /// Why it was resolved; `null` unless it was.
    pub resolved_because: Option<ResolvedBecause>,
    /// What was measured last; `null` for a custom rule.
    pub value: Option<f64>,
    /// What it is compared with; `null` for a custom rule.
    pub threshold: Option<f64>,
    /// One sentence for people, with the figure of the last time that it was the case.
    pub message: String,
    /// What tells this alert from all others, the same from its first change to its last:
    /// `rule`, `metric`, `severity`, and `provider`, `model`, `endpoint` or `instance` where its
    /// scope is one of these.
    pub labels: BTreeMap<String, String>,
    /// When it changed, in Unix seconds.
    pub at: f64,
    /// When it became the case, in Unix seconds.
    pub since: f64,
}

/// Somebody who is told of alerts.
///
/// Called on the monitor's own thread after each evaluation, that is, after each collection, with
/// nothing locked. Nothing is collected until it returns, so it must return at once: what takes
/// longer belongs on a thread of its own. A panic in it is caught.
pub trait AlertSink: Send + Sync {
    /// `changes` are those since the last call, in the order in which they happened, often none;
    /// `firing` is all that fires `now`.
    fn changed(&self, changes: &[AlertChange], firing: &[AlertDetail], now: Timestamp);
}
