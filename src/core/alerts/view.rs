//! What is the case of all that is watched for: the answer of `/performance/alerts`.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use crate::core::alerts::change::ResolvedBecause;
use crate::core::alerts::rule::Severity;
use crate::core::snapshot::Snapshot;

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
    /// One sentence for people, with the figure of the last time that it was the case.
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

/// Why there is nothing to compare with a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum InsufficientBecause {
    /// There are fewer samples than the rule asks for.
    TooFewSamples,
    /// It cannot be measured here.
    NotMeasured,
    /// The window reaches back to where the monitor did not run; or it was not watched for long
    /// enough to have a rate.
    WindowNotCovered,
    /// The closure of a custom rule panicked.
    Panicked,
}

/// A rule that cannot say anything of one of the things it is about.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct InsufficientData {
    /// The id of the rule.
    pub rule: String,
    /// The metric, as it is spelled in the configuration; `custom` for a rule that is a closure.
    pub metric: &'static str,
    /// Where, as in [`AlertDetail`].
    pub scope: String,
    /// Why not.
    pub reason: InsufficientBecause,
    /// How many samples there are in the window.
    pub samples: u64,
    /// How many it takes.
    pub min_samples: u64,
}

/// An alert that fired, and does not any more.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct ResolvedAlert {
    /// The id of its rule.
    pub rule: String,
    /// The metric, as it is spelled in the configuration; `custom` for a rule that is a closure.
    pub metric: String,
    /// Where, as in [`AlertDetail`].
    pub scope: String,
    /// `info`, `warning` or `critical`.
    pub severity: Severity,
    /// What was measured last; `null` for a custom rule.
    pub value: Option<f64>,
    /// What it was compared with; `null` for a custom rule.
    pub threshold: Option<f64>,
    /// When it began to fire, in Unix seconds.
    pub since: f64,
    /// When it was resolved, in Unix seconds.
    pub resolved_at: f64,
    /// Why it was resolved.
    pub resolved_because: ResolvedBecause,
    /// What it said while it fired.
    pub message: String,
}

/// What is watched for and is the case: the answer of `/performance/alerts`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct AlertsView {
    /// When it was looked at, in whole Unix seconds.
    pub timestamp: u64,
    /// When it was looked at, in Unix seconds.
    pub collected_at: f64,
    /// How many alerts fire.
    pub active_alerts_count: usize,
    /// How many are the case, but not yet for as long as their rule asks.
    pub pending_alerts_count: usize,
    /// `critical` while a critical alert fires, `degraded` while a warning does, else `healthy`.
    pub system_health: SystemHealth,
    /// `[severity] message` for each that fires, the worst first: 1,000 at the most.
    pub alerts: Vec<String>,
    /// Those that fire, the worst first, then those that are pending: 1,000 at the most.
    pub details: Vec<AlertDetail>,
    /// How many rules cannot say anything of one of the things they are about, each counted.
    pub insufficient_data_count: usize,
    /// The first 200 of these.
    pub insufficient_data: Vec<InsufficientData>,
    /// What fired and does not any more, the newest first: the last 50.
    pub recently_resolved: Vec<ResolvedAlert>,
    /// How many things there is no room to watch: beyond 4,096 alerts at once, 4,096 providers,
    /// models and endpoints, or 64 findings of one custom rule.
    pub left_out: usize,
    /// How often a closure of a custom rule panicked, since the start.
    pub custom_rule_panics: u64,
}

/// Details in one view.
const MAX_DETAILS: usize = 1_000;

/// What is the case at one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Alerts {
    /// Those that fire, the worst first, then those that are pending.
    pub(crate) details: Vec<AlertDetail>,
    pub(crate) system_health: SystemHealth,
    pub(crate) insufficient: Vec<InsufficientData>,
    pub(crate) insufficient_count: usize,
    /// The newest first.
    pub(crate) resolved: Arc<[ResolvedAlert]>,
    pub(crate) left_out: usize,
    pub(crate) custom_panics: u64,
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

    /// How the gateway is while alerts of these severities fire.
    pub(crate) fn health(firing: impl Iterator<Item = Severity>) -> SystemHealth {
        match firing.max() {
            Some(Severity::Critical) => SystemHealth::Critical,
            Some(Severity::Warning) => SystemHealth::Degraded,
            Some(Severity::Info) | None => SystemHealth::Healthy,
        }
    }
}

/// What is watched for and is the case.
pub(crate) fn alerts(snapshot: &Snapshot) -> AlertsView {
    let alerts = &snapshot.alerts;
    let collected_at = snapshot.collected_at.as_unix_seconds();
    let active = alerts.firing().count();
    AlertsView {
        timestamp: collected_at as u64,
        collected_at,
        active_alerts_count: active,
        pending_alerts_count: alerts.details.len().saturating_sub(active),
        system_health: alerts.system_health,
        alerts: alerts
            .firing()
            .take(MAX_DETAILS)
            .map(AlertDetail::text)
            .collect(),
        details: alerts.details.iter().take(MAX_DETAILS).cloned().collect(),
        insufficient_data_count: alerts.insufficient_count,
        insufficient_data: alerts.insufficient.clone(),
        recently_resolved: alerts.resolved.to_vec(),
        left_out: alerts.left_out,
        custom_rule_panics: alerts.custom_panics,
    }
}
