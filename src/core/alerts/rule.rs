//! What is watched for: one metric, somewhere, compared with a threshold.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

/// A figure that can be watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AlertMetric {
    /// Resident memory in percent of the limit that would kill the process.
    MemoryPressure,
    /// Resident memory, in MiB.
    MemoryUsageMb,
    /// CPU time in percent of what the process may use.
    CpuUsagePercent,
    /// The 95th percentile of durations, in milliseconds.
    ResponseTimeMs,
    /// The average duration, in milliseconds.
    AverageResponseTimeMs,
    /// How many of 100 succeed.
    SuccessRatePercent,
    /// How many of 100 fail.
    ErrorRatePercent,
    /// How many per second.
    RequestsPerSecond,
    /// Spending, in USD per hour.
    CostPerHour,
    /// The 95th percentile of the time to the first token, in milliseconds.
    TimeToFirstTokenMs,
}

impl AlertMetric {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::MemoryPressure,
        Self::MemoryUsageMb,
        Self::CpuUsagePercent,
        Self::ResponseTimeMs,
        Self::AverageResponseTimeMs,
        Self::SuccessRatePercent,
        Self::ErrorRatePercent,
        Self::RequestsPerSecond,
        Self::CostPerHour,
        Self::TimeToFirstTokenMs,
    ];

    /// As it is spelled in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MemoryPressure => "memory_pressure",
            Self::MemoryUsageMb => "memory_usage_mb",
            Self::CpuUsagePercent => "cpu_usage_percent",
            Self::ResponseTimeMs => "response_time_ms",
            Self::AverageResponseTimeMs => "average_response_time_ms",
            Self::SuccessRatePercent => "success_rate_percent",
            Self::ErrorRatePercent => "error_rate_percent",
            Self::RequestsPerSecond => "requests_per_second",
            Self::CostPerHour => "cost_per_hour",
            Self::TimeToFirstTokenMs => "time_to_first_token_ms",
        }
    }

    /// The metric of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.name() == name)
    }

    /// Where it is watched unless a rule says otherwise: each provider for what providers have,
    /// each endpoint for `requests_per_second`, the process for its own.
    #[must_use]
    pub const fn default_scope(self) -> AlertScope {
        match self {
            Self::MemoryPressure | Self::MemoryUsageMb | Self::CpuUsagePercent => {
                AlertScope::Process
            }
            Self::RequestsPerSecond => AlertScope::EachEndpoint,
            _ => AlertScope::EachProvider,
        }
    }
}

/// How a value is compared with a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub enum Comparison {
    /// `>`
    #[serde(rename = ">")]
    Above,
    /// `<`
    #[serde(rename = "<")]
    Below,
    /// `>=`
    #[serde(rename = ">=")]
    AtLeast,
    /// `<=`
    #[serde(rename = "<=")]
    AtMost,
    /// `=`, within 10⁻⁹ of the threshold, relative to it.
    #[serde(rename = "=")]
    Equal,
}

impl Comparison {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Above,
        Self::Below,
        Self::AtLeast,
        Self::AtMost,
        Self::Equal,
    ];

    /// As it is spelled in the configuration.
    #[must_use]
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Above => ">",
            Self::Below => "<",
            Self::AtLeast => ">=",
            Self::AtMost => "<=",
            Self::Equal => "=",
        }
    }

    /// The comparison of that symbol.
    #[must_use]
    pub fn from_symbol(symbol: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.symbol() == symbol)
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Worth a look.
    Warning,
    /// Worth being woken for.
    Critical,
}

impl Severity {
    /// All of them, the least first.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    /// As it is spelled in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// The severity of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }
}

/// Where a metric is watched.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AlertScope {
    /// The process.
    Process,
    /// All operations of the gateway together.
    Gateway,
    /// Each provider for itself.
    EachProvider,
    /// One provider.
    Provider(String),
    /// One model of one provider.
    Model {
        /// The provider.
        provider: String,
        /// The model.
        model: String,
    },
    /// Each endpoint for itself.
    EachEndpoint,
    /// One endpoint, by its route template.
    Endpoint(String),
}

/// A rule: when something is worth telling.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertRule {
    pub(crate) id: Option<String>,
    pub(crate) metric: AlertMetric,
    pub(crate) comparison: Comparison,
    pub(crate) threshold: f64,
    pub(crate) severity: Severity,
    pub(crate) scope: AlertScope,
    pub(crate) window: Duration,
    pub(crate) pending_for: Duration,
    pub(crate) min_samples: u64,
}

impl AlertRule {
    /// A rule over the last five minutes, in the metric's usual scope, that fires at once and
    /// needs 20 samples.
    #[must_use]
    pub const fn new(
        metric: AlertMetric,
        comparison: Comparison,
        threshold: f64,
        severity: Severity,
    ) -> Self {
        Self {
            id: None,
            metric,
            comparison,
            threshold,
            severity,
            scope: metric.default_scope(),
            window: Duration::from_secs(5 * 60),
            pending_for: Duration::ZERO,
            min_samples: 20,
        }
    }

    /// The same under a name of its own: a later rule of that name replaces it.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// The same somewhere else.
    #[must_use]
    pub fn with_scope(mut self, scope: AlertScope) -> Self {
        self.scope = scope;
        self
    }

    /// The same over another window, up to the retention.
    #[must_use]
    pub const fn with_window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// The same, but it fires only after it was the case for so long without a break.
    #[must_use]
    pub const fn with_for(mut self, pending_for: Duration) -> Self {
        self.pending_for = pending_for;
        self
    }

    /// The same with another number of samples below which it says nothing.
    #[must_use]
    pub const fn with_min_samples(mut self, samples: u64) -> Self {
        self.min_samples = samples;
        self
    }

    /// Its id: the one that was given, or what it says.
    #[must_use]
    pub fn id(&self) -> String {
        self.id.clone().unwrap_or_else(|| {
            let (metric, comparison) = (self.metric.name(), self.comparison.symbol());
            let severity = self.severity.name();
            format!(
                "{metric} {comparison} {severity} {:?} {:?}",
                self.scope, self.window
            )
        })
    }

    /// Whether `other`, set later, stands for this one: it has the same id; or where either has
    /// none, the same metric, scope, severity, comparison and window, which then make the id.
    pub(crate) fn is_replaced_by(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}
