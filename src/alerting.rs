//! What a monitor watches for, and what of it is the case.

use crate::{
    PerformanceMonitor,
    core::alerts::{
        rule::AlertRule,
        view::{self, AlertsView},
    },
    edge::alert_changes::AlertChanges,
    error::SettingsError,
};

impl PerformanceMonitor {
    /// What is watched for and is the case, as of a collection not older than a second.
    #[must_use]
    pub fn alerts(&self) -> AlertsView {
        view::alerts(&self.shared().fresh())
    }

    /// Watches for one more thing, from the next collection on. A rule of the same id, or without
    /// one of the same metric, scope, severity, comparison and window, is replaced: what it fires
    /// goes on if the new one holds too, and is resolved otherwise.
    ///
    /// # Errors
    /// A rule that cannot be, more than 100 rules, or a monitor that was shut down. The rules are
    /// as they were then.
    pub fn set_alert(&self, rule: AlertRule) -> Result<(), SettingsError> {
        rule.check()?;
        if self.shared().is_shut_down() {
            return Err(SettingsError::ShutDown);
        }
        self.shared().change(|settings| {
            settings.set_rule(rule);
            Ok(())
        })
    }

    /// Watches for one more thing, by its names: with the usual scope, window and number of
    /// samples. Two severities of the same metric and comparison are two rules.
    ///
    /// ```
    /// # use aimux_otel::{PerformanceMonitor, SettingsError};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let monitor = PerformanceMonitor::builder().build()?;
    /// // Memory pressure alert (warning at 80%, critical at 95%)
    /// monitor.set_alert_threshold("memory_pressure", 80.0, ">", "warning")?;
    /// monitor.set_alert_threshold("memory_pressure", 95.0, ">", "critical")?;
    /// // Response time alerts
    /// monitor.set_alert_threshold("response_time_ms", 2000.0, ">", "warning")?;
    /// monitor.set_alert_threshold("response_time_ms", 5000.0, ">", "critical")?;
    /// // Error rate alerts
    /// monitor.set_alert_threshold("error_rate_percent", 5.0, ">", "warning")?;
    /// monitor.set_alert_threshold("error_rate_percent", 10.0, ">", "critical")?;
    /// // Less sensitive: this replaces the first one.
    /// monitor.set_alert_threshold("memory_pressure", 90.0, ">", "warning")?;
    /// assert_eq!(monitor.alert_rules().len(), 6);
    ///
    /// let wrong = monitor.set_alert_threshold("memory", 90.0, ">", "warning");
    /// assert!(matches!(wrong, Err(SettingsError::Alert(error)) if error.field() == "metric"));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`set_alert`](Self::set_alert); and if one of the names is unknown.
    pub fn set_alert_threshold(
        &self,
        metric: &str,
        threshold: f64,
        comparison: &str,
        severity: &str,
    ) -> Result<(), SettingsError> {
        self.set_alert(AlertRule::parse(metric, threshold, comparison, severity)?)
    }

    /// Watches no longer by the rule of this id; whether there was one. What it fires is resolved
    /// with the next collection. Custom rules stay.
    pub fn remove_alert(&self, id: &str) -> bool {
        let mut was_there = false;
        let removed = self.shared().change(|settings| {
            was_there = settings.remove_rule(id);
            Ok::<_, SettingsError>(())
        });
        was_there && removed.is_ok()
    }

    /// The rules as they are in force, in the order in which they were set. Custom rules are not
    /// among them.
    #[must_use]
    pub fn alert_rules(&self) -> Vec<AlertRule> {
        self.shared().settings.get().rules.clone()
    }

    /// Every change of an alert from now on: that it is pending, fires, or is resolved.
    ///
    /// ```
    /// # use aimux_otel::{AlertState, PerformanceMonitor};
    /// # use std::time::Duration;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let monitor = PerformanceMonitor::builder().recommended_alerts().build()?;
    /// let mut changes = monitor.alert_changes();
    /// for _ in 0..20 {
    ///     let took = Duration::from_secs(3);
    ///     monitor.record_provider_request("zai", "glm-4.6", took, true, "", 0.0);
    /// }
    /// monitor.collect();
    /// while let Some(change) = changes.next().await {
    ///     if change.metric == "response_time_ms" {
    ///         assert_eq!(change.state, AlertState::Firing);
    ///         assert_eq!(change.labels["provider"], "zai");
    ///         break;
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn alert_changes(&self) -> AlertChanges {
        self.shared().alert_changes.listen()
    }
}
