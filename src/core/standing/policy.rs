//! By what a provider's health is judged.

use std::time::Duration;

/// By what the health of a provider and model is judged, from one collection to the next.
///
/// What failed by the fault of the caller or by a rule counts neither way. To get worse a limit has
/// to be passed; to get better, it has to be passed by a margin, and some time must have gone by:
/// so a state does not flutter around a limit.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct HealthPolicy {
    /// What counts most: the last minute.
    pub short_window: Duration,
    /// What counts where there is too little in the short one, and what its durations are compared
    /// with: 15 minutes.
    pub long_window: Duration,
    /// With fewer attempts in the short window, the long one counts: 20, so that one failure alone
    /// changes nothing.
    pub least_samples: u64,
    /// With fewer attempts in the long one, the state is unknown: 20.
    pub least_samples_long: u64,
    /// Degraded if fewer of 100 attempts succeed: 95.
    pub degraded_below_percent: f64,
    /// Unhealthy if fewer of 100 attempts succeed: 80.
    pub unhealthy_below_percent: f64,
    /// By so much a limit has to be passed to get better: 3.
    pub margin_percent: f64,
    /// Unhealthy if there were attempts enough and none succeeded for so long: one minute.
    pub unhealthy_without_success: Duration,
    /// Degraded if the average success of the short window takes so many times that of the long
    /// one: 2. To get better it has to take less than four fifths of that.
    pub degraded_times_slower: f64,
    /// A state is kept so long before a better one: 10 seconds.
    pub least_time: Duration,
}

impl Default for HealthPolicy {
    fn default() -> Self {
        Self {
            short_window: Duration::from_secs(60),
            long_window: Duration::from_secs(15 * 60),
            least_samples: 20,
            least_samples_long: 20,
            degraded_below_percent: 95.0,
            unhealthy_below_percent: 80.0,
            margin_percent: 3.0,
            unhealthy_without_success: Duration::from_secs(60),
            degraded_times_slower: 2.0,
            least_time: Duration::from_secs(10),
        }
    }
}

impl HealthPolicy {
    /// What is wrong with it, if anything: the setting, and what it may be.
    pub(crate) fn wrong(&self) -> Option<(&'static str, String, &'static str)> {
        let windows = Duration::from_secs(1)..=Duration::from_secs(24 * 3_600);
        let percent = 0.0..=100.0;
        let found = |setting, value: &dyn std::fmt::Debug, allowed| {
            Some((setting, format!("{value:?}"), allowed))
        };
        if !windows.contains(&self.short_window) || !windows.contains(&self.long_window) {
            let both = (self.short_window, self.long_window);
            return found("health_policy windows", &both, "from a second to a day");
        }
        if self.long_window < self.short_window {
            let both = (self.short_window, self.long_window);
            return found(
                "health_policy windows",
                &both,
                "a long one not below the short one",
            );
        }
        let limits = [
            self.unhealthy_below_percent,
            self.degraded_below_percent,
            self.margin_percent,
        ];
        if !limits.iter().all(|limit| percent.contains(limit)) {
            return found("health_policy percentages", &limits, "from 0 to 100");
        }
        if !(1.0..=1_000.0).contains(&self.degraded_times_slower) {
            let times = self.degraded_times_slower;
            return found(
                "health_policy degraded_times_slower",
                &times,
                "from 1 to 1000",
            );
        }
        None
    }
}
