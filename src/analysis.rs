//! What a monitor can be asked over time and about experiments.

use crate::{
    PerformanceMonitor,
    core::{
        views::{self, ExperimentsView, HistoryQuery, HistoryView, ViewError},
        window::Window,
    },
    summary::{self, PerformanceSummary},
};
use std::time::Duration;

impl PerformanceMonitor {
    /// One figure over time.
    ///
    /// ```
    /// use aimux_otel::{HistoryMetric, HistoryQuery, HistoryScope, PerformanceMonitor};
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let monitor = PerformanceMonitor::builder().build()?;
    /// let took = Duration::from_millis(850);
    /// monitor.record_provider_request("cerebras", "llama3.1-70b", took, true, "", 0.0042);
    /// monitor.collect();
    /// let query = HistoryQuery::new(HistoryMetric::MaxResponseTimeMs)
    ///     .scope(HistoryScope::Provider("cerebras".to_owned()))
    ///     .window(Duration::from_secs(600))
    ///     .step(Duration::from_secs(60));
    /// let history = monitor.history(&query)?;
    /// assert_eq!(history.points.last().and_then(|point| point.value), Some(850.0));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// A window longer than the retention, or of no length; a step of none, or so short that there
    /// would be more than 2,000; a metric that there is not in the scope; a provider, model,
    /// endpoint or component that was neither configured nor ever seen.
    pub fn history(&self, query: &HistoryQuery) -> Result<HistoryView, ViewError> {
        views::history(&self.shared().fresh(), query)
    }

    /// Records one try of a variant of an experiment: the guide's `trackABTestPerformance`.
    ///
    /// An event of component `abtest` with the name as its operation, a duration and the metadata
    /// `variant` and `success`, given to [`record_event`](Self::record_event), counts the same.
    /// How many experiments and variants there may be: [`Limits`](crate::Limits).
    pub fn record_variant(&self, test: &str, variant: &str, duration: Duration, success: bool) {
        self.recorder().variant(test, variant, duration, success);
    }

    /// How the gateway was over `window`, for a status page, and what watching it costs.
    ///
    /// # Errors
    /// A window longer than the retention, or of no length.
    pub fn summary(&self, window: Window) -> Result<PerformanceSummary, ViewError> {
        summary::summary(self.shared(), window)
    }

    /// What the variants of each experiment did over `window`, side by side, and whether they
    /// differ from their control by more than noise.
    ///
    /// Success rates are compared by Fisher's exact test or a z-test, durations by that of Mann and
    /// Whitney, several variants with Holm's correction; see [`ExperimentsView`].
    ///
    /// ```
    /// use aimux_otel::{PerformanceMonitor, Window};
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let monitor = PerformanceMonitor::builder().build()?;
    /// for n in 0..100 {
    ///     let took = Duration::from_millis(800 + n);
    ///     monitor.record_variant("prompt", "control", took, n % 10 != 0);
    ///     monitor.record_variant("prompt", "short", took / 2, n % 10 != 0);
    /// }
    /// monitor.collect();
    /// let view = monitor.experiments(Window::SinceStart)?;
    /// let short = &view.experiments["prompt"].comparisons[0];
    /// assert_eq!(short.duration.significance.significant, Some(true));
    /// assert_eq!(short.success_rate.significance.significant, Some(false));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// A window longer than the retention, or of no length.
    pub fn experiments(&self, window: Window) -> Result<ExperimentsView, ViewError> {
        views::experiments(&self.shared().fresh(), window, None)
    }
}
