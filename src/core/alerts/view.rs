//! What is the case of all that is watched for: the answer of `/performance/alerts`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::core::alerts::rule::Severity;

/// How the gateway is, seen from its alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SystemHealth {
    /// No alert fires, but for information.
    #[default]
    Healthy,
    /// A warning fires.
    Degraded,
    /// A critical alert fires.
    Critical,
}

/// Where an alert stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// It is the case, but not yet for as long as the rule asks.
    Pending,
    /// It is the case.
    Firing,
    /// It was the case, and is not any more: only a change says this.
    Resolved,
}

/// One alert that is pending or fires.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct AlertDetail {
    /// The id of its rule.
    pub rule: String,
    /// The metric, as it is spelled in the configuration; `custom` for a rule that is a closure.
    pub metric: String,
    /// Where: `process`, `gateway`, `provider <name>`, `model <provider>/<model>`,
    /// `endpoint <path>`; what its closure said for a custom rule.
    pub scope: String,
    /// `info`, `warning` or `critical`.
    pub severity: Severity,
    /// `pending` or `firing`.
    pub state: AlertState,
    /// What was measured last; `null` for a custom rule.
    pub value: Option<f64>,
    /// `>`, `<`, `>=`, `<=` or `=`; `null` for a custom rule.
    pub comparison: Option<&'static str>,
    /// What it is compared with; `null` for a custom rule.
    pub threshold: Option<f64>,
    /// Since when it is in this state, in Unix seconds.
    pub since: f64,
    /// One sentence for people.
    pub message: String,
    /// What tells this alert from all others, as in [`AlertChange`].
    ///
    /// [`AlertChange`]: crate::AlertChange
    pub labels: BTreeMap<String, String>,
}

impl AlertDetail {
    /// `[severity] message`.
    pub(crate) fn text(&self) -> String {
        format!("[{}] {}", self.severity.name(), self.message)
    }
}

/// What is the case at one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Alerts {
    /// Those that are pending or fire, the worst first.
    pub(crate) details: Vec<AlertDetail>,
    pub(crate) system_health: SystemHealth,
}

impl Alerts {
    /// `[severity] message` for each that fires.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.firing().map(AlertDetail::text).collect()
    }

    /// Those that fire.
    pub(crate) fn firing(&self) -> impl Iterator<Item = &AlertDetail> {
        let fires = |detail: &&AlertDetail| detail.state == AlertState::Firing;
        self.details.iter().filter(fires)
    }
}
