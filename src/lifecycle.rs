//! Stopping and starting a monitor, and what can be changed while it runs.

use crate::{
    PerformanceMonitor, core::configuration::Configuration, error::SettingsError,
    event_type::EventFilter,
};
use std::time::Duration;

/// How long a change waits for the collection that shows it.
const SHOWN_WITHIN: Duration = Duration::from_secs(10);

impl PerformanceMonitor {
    /// Measures every `interval` (from 10 ms to an hour; 5 s is what a monitor begins with) and
    /// keeps what it measured for `retention` (from one interval to 48 h; 24 h).
    ///
    /// A monitor measures from the moment it is built. So this starts one that was
    /// [stopped](Self::stop_monitoring), as often as you like, and of one that runs it changes both
    /// settings: a longer retention keeps all there is, a shorter one forgets what is older with the
    /// next collection. What is counted since the start stays.
    ///
    /// Returns when the views show it, or after ten seconds at the most.
    ///
    /// ```
    /// use aimux_otel::{PerformanceMonitor, SettingsError};
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let monitor = PerformanceMonitor::builder().build()?;
    /// monitor.stop_monitoring();
    /// assert!(!monitor.is_monitoring());
    ///
    /// let hour = Duration::from_secs(3_600);
    /// monitor.start_monitoring(Duration::from_secs(10), 6 * hour)?;
    /// assert!(monitor.is_monitoring());
    /// assert_eq!(monitor.retention(), 6 * hour);
    ///
    /// let too_often = monitor.start_monitoring(Duration::from_millis(1), hour);
    /// assert!(matches!(too_often, Err(SettingsError::OutOfRange { .. })));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Either is out of its range, or the monitor was shut down. Nothing has changed then.
    pub fn start_monitoring(
        &self,
        interval: Duration,
        retention: Duration,
    ) -> Result<(), SettingsError> {
        let shared = self.shared();
        if shared.is_shut_down() {
            return Err(SettingsError::ShutDown);
        }
        shared.change(|settings| {
            settings.collection_interval = interval;
            settings.retention = retention;
            Ok::<_, SettingsError>(())
        })?;
        if !shared.resume() {
            return Err(SettingsError::ShutDown);
        }
        shared.collect(SHOWN_WITHIN);
        Ok(())
    }

    /// Stops measuring: what is recorded from now on is dropped and counted, under the reason
    /// `stopped`, until [`start_monitoring`](Self::start_monitoring). What was recorded before is
    /// still counted, by one last collection.
    ///
    /// The routes and getters go on answering with what was measured last, and say
    /// `monitoring_active: false`; [`collect`](Self::collect) still collects. A request, guard or
    /// span that is open meanwhile and ends after the next start is recorded then. Does nothing to
    /// a monitor that is stopped, or shut down.
    ///
    /// Returns when the views show it, or after ten seconds at the most.
    ///
    /// ```
    /// use aimux_otel::{PerformanceMonitor, Window};
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let monitor = PerformanceMonitor::builder().build()?;
    /// let call = || monitor.record_provider_request("zai", "glm-4.5", Duration::from_millis(9), true, "", 0.0);
    /// call();
    /// monitor.stop_monitoring();
    /// call();
    ///
    /// let health = monitor.health();
    /// assert_eq!((health.offered, health.counted), (2, 1));
    /// assert_eq!(health.dropped["stopped"], 1);
    /// assert!(!monitor.report(Window::SinceStart)?.monitoring_active);
    /// # Ok(()) }
    /// ```
    pub fn stop_monitoring(&self) {
        let shared = self.shared();
        shared.pause();
        shared.collect(SHOWN_WITHIN);
    }

    /// Whether the monitor measures: not while it is stopped, not after a shutdown, and not at all
    /// where `OTEL_SDK_DISABLED` is `true`.
    ///
    /// ```
    /// use aimux_otel::PerformanceMonitor;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let monitor = PerformanceMonitor::builder().build()?;
    /// assert!(monitor.is_monitoring());
    /// monitor.shutdown(std::time::Duration::from_secs(2))?;
    /// assert!(!monitor.is_monitoring());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn is_monitoring(&self) -> bool {
        self.shared().is_active()
    }

    /// The time between two collections that is in force.
    ///
    /// ```
    /// use aimux_otel::PerformanceMonitor;
    ///
    /// # fn main() -> Result<(), aimux_otel::BuildError> {
    /// let monitor = PerformanceMonitor::builder().build()?;
    /// assert_eq!(monitor.collection_interval().as_secs(), 5);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn collection_interval(&self) -> Duration {
        self.shared().settings.get().collection_interval
    }

    /// For how long windows reach back, as it is in force.
    ///
    /// ```
    /// use aimux_otel::PerformanceMonitor;
    ///
    /// # fn main() -> Result<(), aimux_otel::BuildError> {
    /// let monitor = PerformanceMonitor::builder().build()?;
    /// assert_eq!(monitor.retention().as_secs(), 24 * 3_600);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn retention(&self) -> Duration {
        self.shared().settings.get().retention
    }

    /// From now on keeps the recent events that `filter` keeps, of those that are counted after
    /// this call: what waits in the queue included. All are counted in any case, and what was kept
    /// before stays until newer ones take its place.
    ///
    /// ```
    /// use aimux_otel::{EventFilter, PerformanceMonitor};
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), aimux_otel::BuildError> {
    /// let monitor = PerformanceMonitor::builder().build()?;
    /// monitor.set_event_filter(EventFilter::ALL.failures_only());
    /// let took = Duration::from_millis(9);
    /// monitor.record_provider_request("zai", "glm-4.5", took, true, "", 0.0);
    /// monitor.record_provider_request("zai", "glm-4.5", took, false, "timeout", 0.0);
    /// monitor.collect();
    /// assert_eq!(monitor.recent_events().len(), 1);
    /// assert_eq!(monitor.event_filter(), EventFilter::ALL.failures_only());
    /// # Ok(()) }
    /// ```
    pub fn set_event_filter(&self, filter: EventFilter) {
        let set = self.shared().change(|settings| {
            settings.event_filter = filter;
            Ok::<_, SettingsError>(())
        });
        // The rest was in its range before.
        set.ok();
    }

    /// Which events are kept among the recent ones, as it is in force. See
    /// [`set_event_filter`](Self::set_event_filter).
    #[must_use]
    pub fn event_filter(&self) -> EventFilter {
        self.shared().settings.get().event_filter
    }

    /// All that is in force: what `/performance/config` tells.
    ///
    /// ```
    /// use aimux_otel::PerformanceMonitor;
    ///
    /// # fn main() -> Result<(), aimux_otel::BuildError> {
    /// let configuration = PerformanceMonitor::builder().build()?.configuration();
    /// assert!(configuration.monitoring_active);
    /// assert_eq!(configuration.collection_interval_seconds, 5.0);
    /// assert_eq!(configuration.limits.providers, 32);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn configuration(&self) -> Configuration {
        self.shared().configuration()
    }
}
