//! From what happened to a state.

use super::{HealthPolicy, recent::Outcomes};
use schemars::JsonSchema;
use serde::Serialize;
use std::time::Duration;

/// How a provider and model stand, the better ones first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HealthState {
    /// It answers as it should.
    Healthy,
    /// There were too few attempts to say.
    #[default]
    Unknown,
    /// It fails more often than it should, or has become slow.
    Degraded,
    /// It mostly fails.
    Unhealthy,
}

/// Why it stands so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HealthReason {
    /// There were too few attempts.
    #[default]
    TooFewSamples,
    /// So many of 100 attempts succeeded.
    SuccessRate,
    /// None succeeded for too long.
    NoSuccess,
    /// It takes longer than before.
    Latency,
}

/// What is known of one provider and model.
#[derive(Debug)]
pub(super) struct Evidence {
    pub(super) short: Outcomes,
    pub(super) long: Outcomes,
    /// Since the last success, or since it was first seen.
    pub(super) without_success: Duration,
}

/// The state that follows from `evidence`, for what was in the state `before`.
pub(super) fn judge(
    policy: &HealthPolicy,
    before: HealthState,
    evidence: &Evidence,
) -> (HealthState, HealthReason) {
    let Evidence { short, long, .. } = evidence;
    let (judged, least) = if short.count() >= policy.least_samples {
        (short, policy.least_samples)
    } else {
        (long, policy.least_samples_long)
    };
    let Some(rate) = judged.rate().filter(|_| judged.count() >= least) else {
        return (HealthState::Unknown, HealthReason::TooFewSamples);
    };
    // Who was worse has to be better than the limit to be so no more.
    let limit = |limit: f64, state: HealthState| match before {
        HealthState::Unknown => limit,
        before if before >= state => (limit + policy.margin_percent).min(100.0),
        _ => limit,
    };
    if rate < limit(policy.unhealthy_below_percent, HealthState::Unhealthy) {
        return (HealthState::Unhealthy, HealthReason::SuccessRate);
    }
    if evidence.without_success >= policy.unhealthy_without_success && judged.failed > 0 {
        return (HealthState::Unhealthy, HealthReason::NoSuccess);
    }
    if rate < limit(policy.degraded_below_percent, HealthState::Degraded) {
        return (HealthState::Degraded, HealthReason::SuccessRate);
    }
    let times = match before {
        HealthState::Degraded | HealthState::Unhealthy => policy.degraded_times_slower * 0.8,
        _ => policy.degraded_times_slower,
    };
    let compared = short.succeeded >= policy.least_samples && long.succeeded > short.succeeded;
    let slower = |(now, before): (Duration, Duration)| now > before.mul_f64(times);
    if compared && short.average().zip(long.average()).is_some_and(slower) {
        return (HealthState::Degraded, HealthReason::Latency);
    }
    (HealthState::Healthy, HealthReason::SuccessRate)
}
