//! The guide's table of targets, as rules.

use crate::core::alerts::rule::{AlertMetric, AlertRule, AlertScope, Comparison, Severity};

impl AlertRule {
    /// The guide's table of targets as rules, each with the usual window and number of samples:
    ///
    /// | metric | where | warning | critical |
    /// | --- | --- | --- | --- |
    /// | `response_time_ms` (p95) | each provider | > 2000 | > 5000 |
    /// | `error_rate_percent` | each provider | > 5 | > 10 |
    /// | `success_rate_percent` | all operations | < 90 | < 80 |
    /// | `memory_pressure` | the process | > 80 | > 95 |
    /// | `cpu_usage_percent` | the process | > 85 | > 95 |
    ///
    /// One condition is one alert. While the critical one fires, the warning of the same thing does
    /// not. The success rate and the error rate are one figure seen from two sides, so each is
    /// watched at one place only: the error rate where it says who fails, and the success rate
    /// where it says what the gateway's clients get. If they get failures because a provider fails,
    /// that provider's alert stands for both
    /// ([`unless_a_provider_fails`](AlertRule::unless_a_provider_fails)); if it fails and another
    /// one stands in, that is an alert about the provider only.
    #[must_use]
    pub fn recommended() -> Vec<Self> {
        use AlertMetric as M;
        use Comparison::{Above, Below};
        let table = [
            (M::ResponseTimeMs, Above, 2_000.0, 5_000.0),
            (M::ErrorRatePercent, Above, 5.0, 10.0),
            (M::SuccessRatePercent, Below, 90.0, 80.0),
            (M::MemoryPressure, Above, 80.0, 95.0),
            (M::CpuUsagePercent, Above, 85.0, 95.0),
        ];
        let mut rules = Vec::new();
        for (metric, comparison, warning, critical) in table {
            for (threshold, severity) in
                [(warning, Severity::Warning), (critical, Severity::Critical)]
            {
                let rule = Self::new(metric, comparison, threshold, severity);
                rules.push(match metric {
                    M::SuccessRatePercent => {
                        let gateways = rule.with_scope(AlertScope::Gateway);
                        gateways.unless_a_provider_fails()
                    }
                    _ => rule,
                });
            }
        }
        rules
    }
}
