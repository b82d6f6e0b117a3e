//! What a monitor hands to other programs.

use crate::{
    PerformanceMonitor, Timestamp,
    core::export::{Export, ExportError, ExportFormat},
    exports,
};

impl PerformanceMonitor {
    /// All that was measured since the start, or what changed since a time, in one of four formats.
    ///
    /// What is in it: the series of the recognised metrics, and all exponential histograms of the
    /// host's own; in Prometheus' format all that `/metrics` has. Counts and sums are those of the
    /// views and of `/metrics`.
    ///
    /// With a `since`, the numbers of JSON, CSV and OTLP are those of the slots of time that ended
    /// after it, to the microsecond. Ask with the [`window_end`](Export::window_end) of the export
    /// before, and nothing is lost or told twice between the two, or between an export without a
    /// `since` and the one after it: that holds for the last 16 exports with different ends, as
    /// long as their slots are kept. For any other time the numbers may begin a little earlier,
    /// as slots become coarser with age, or at the oldest that is kept; the export says from when
    /// they are, by [`window_start`](Export::window_start) and within its text.
    ///
    /// ```
    /// use aimux_otel::{ExportFormat, PerformanceMonitor};
    /// use std::time::{Duration, SystemTime};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let monitor = PerformanceMonitor::builder().build()?;
    /// let took = Duration::from_millis(850);
    /// monitor.record_provider_request("cerebras", "llama3.1-70b", took, true, "", 0.0042);
    /// monitor.collect();
    ///
    /// // To JSON, whole.
    /// let json_data = monitor.export(ExportFormat::Json, None)?.into_string()?;
    /// assert!(json_data.contains(r#""total_requests":1,"#));
    ///
    /// // To Prometheus' format.
    /// let prometheus_data = monitor.export(ExportFormat::Prometheus, None)?.into_string()?;
    /// assert!(prometheus_data.contains("gen_ai_client_operation_duration_seconds_count{"));
    ///
    /// // With a time filter: the last hour.
    /// let since_time = SystemTime::now() - Duration::from_secs(3_600);
    /// let recent_data = monitor.export(ExportFormat::Json, Some(since_time.into()))?;
    /// assert!(recent_data.into_string()?.contains(r#""total_requests":1,"#));
    ///
    /// // A long one, without holding it in memory.
    /// let mut file = Vec::new();
    /// monitor.export(ExportFormat::Csv, None)?.write_to(&mut file)?;
    /// assert!(file.starts_with(b"window_start,window_end,scope,metric,"));
    /// # Ok(()) }
    /// ```
    ///
    /// May block the caller for 50 ms, as the getters of views do. Reading it does not block, but
    /// takes its time: some milliseconds for a thousand series. The route is
    /// `/performance/export?format=&since=`.
    ///
    /// # Errors
    /// A `since` in the future.
    pub fn export(
        &self,
        format: ExportFormat,
        since: Option<Timestamp>,
    ) -> Result<Export, ExportError> {
        exports::begin(self.shared(), self.prometheus_registry(), format, since)
    }
}
