//! What is the case of all that is watched for: the answer of `/performance/alerts`.

use serde::Serialize;

/// How the gateway is, seen from its alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// It is the case, but not yet for as long as the rule asks.
    Pending,
    /// It is the case.
    Firing,
}

/// One alert that is pending or fires.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AlertDetail {
    /// The id of its rule.
    pub rule: String,
    /// The metric, as it is spelled in the configuration.
    pub metric: String,
    /// Where: `process`, `gateway`, `provider <name>`, `model <provider>/<model>`,
    /// `endpoint <path>`.
    pub scope: String,
    /// `info`, `warning` or `critical`.
    pub severity: String,
    /// `pending` or `firing`.
    pub state: AlertState,
    /// What was measured last.
    pub value: f64,
    /// `>`, `<`, `>=`, `<=` or `=`.
    pub comparison: String,
    /// What it is compared with.
    pub threshold: f64,
    /// Since when it is in this state, in Unix seconds.
    pub since: f64,
    /// One sentence for people.
    pub message: String,
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
        let firing = self
            .details
            .iter()
            .filter(|d| d.state == AlertState::Firing);
        firing
            .map(|d| format!("[{}] {}", d.severity, d.message))
            .collect()
    }
}
