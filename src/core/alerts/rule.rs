//! What is watched for: one metric, somewhere, compared with a threshold.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use crate::core::labels::is_unprintable;
use crate::error::AlertRuleError;

/// Within so much of the threshold, relative to it, a value is equal to it.
const EQUAL: f64 = 1e-9;
/// By so much of the threshold a value has to be back before an alert is resolved at once.
const MARGIN: f64 = 0.05;
/// The longest window and the longest wait: the longest retention there may be.
const LONGEST: Duration = Duration::from_secs(48 * 3_600);
/// An id or a name in a scope is no longer than this, in characters.
const MAX_NAME_CHARACTERS: usize = 128;

/// A figure that can be watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AlertMetric {
    /// Resident memory in percent of the limit that would kill the process, at the last collection:
    /// `memory_pressure_percent` of the memory view.
    MemoryPressure,
    /// Resident memory, in MiB, at the last collection: `total_process_mb` of the memory view.
    MemoryUsageMb,
    /// CPU time in percent of what the process may use, on average over the window:
    /// `window_cpu_usage_percent` of the memory view. Not before ten seconds or the window.
    CpuUsagePercent,
    /// The 95th percentile of durations in the window, in milliseconds.
    ResponseTimeMs,
    /// The average duration in the window, in milliseconds.
    AverageResponseTimeMs,
    /// How many of 100 succeed: `success_rate_percent` of the views.
    SuccessRatePercent,
    /// How many of 100 fail: 100 less the above.
    ErrorRatePercent,
    /// How many per second, on average over the window.
    RequestsPerSecond,
    /// Spending, in USD per hour, at the pace of the window.
    CostPerHour,
    /// The 95th percentile of the time to the first token in the window, in milliseconds.
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

    /// Whether it is one of the process, and so of nothing else.
    const fn is_of_process(self) -> bool {
        matches!(
            self,
            Self::MemoryPressure | Self::MemoryUsageMb | Self::CpuUsagePercent
        )
    }

    /// Whether it is one of calls to providers, and so of no endpoint.
    pub(super) const fn is_of_attempts(self) -> bool {
        matches!(self, Self::CostPerHour | Self::TimeToFirstTokenMs)
    }

    /// Whether it is an amount over time, which is not known where time went by unobserved.
    pub(super) const fn is_over_time(self) -> bool {
        matches!(
            self,
            Self::RequestsPerSecond | Self::CostPerHour | Self::CpuUsagePercent
        )
    }

    /// Whether it ends at 100.
    const fn is_percent(self) -> bool {
        matches!(
            self,
            Self::MemoryPressure
                | Self::CpuUsagePercent
                | Self::SuccessRatePercent
                | Self::ErrorRatePercent
        )
    }

    /// Whether it makes sense at `scope`.
    #[must_use]
    pub const fn is_of(self, scope: &AlertScope) -> bool {
        match scope {
            AlertScope::Process => self.is_of_process(),
            AlertScope::Gateway
            | AlertScope::EachProvider
            | AlertScope::Provider(_)
            | AlertScope::Model { .. } => !self.is_of_process(),
            AlertScope::EachEndpoint | AlertScope::Endpoint(_) => {
                !self.is_of_process() && !self.is_of_attempts()
            }
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

/// Which way a comparison looks: what is worse lies there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Direction {
    Up,
    Down,
    Exact,
}

impl Comparison {
    pub(super) const fn direction(self) -> Direction {
        match self {
            Self::Above | Self::AtLeast => Direction::Up,
            Self::Below | Self::AtMost => Direction::Down,
            Self::Equal => Direction::Exact,
        }
    }

    fn holds(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::Above => value > threshold,
            Self::Below => value < threshold,
            Self::AtLeast => value >= threshold,
            Self::AtMost => value <= threshold,
            Self::Equal => (value - threshold).abs() <= EQUAL * threshold.abs(),
        }
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
///
/// At an endpoint and the gateway, requests are operations: what the gateway's clients asked for.
/// At a provider and a model they are attempts: calls to that provider.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AlertScope {
    /// The process.
    Process,
    /// All operations of the gateway together; for cost and the time to the first token, which
    /// operations have not, all attempts.
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
///
/// # When it fires, and when it is resolved
///
/// It is looked at once after each collection. It fires when the comparison holds, with
/// [`with_for`](Self::with_for) only after it held in every collection for so long. It is resolved
/// when the value is back by a margin of 5 % of the threshold (`> 2000` at 1900; where percentages
/// end at 100, by half of what is left to there at the most: `< 99` at 99.5), or when the
/// comparison has not held for a whole window without a break. So a value that dances around the
/// threshold is one alert.
///
/// With fewer samples in the window than [`with_min_samples`](Self::with_min_samples) it never
/// fires, and is among the `insufficient_data` of the view. What fires then goes on for one window
/// more, and is then resolved as `no_data`. What is a number of the process needs no samples. A
/// value that is not finite is none.
///
/// An amount over time (`requests_per_second`, `cost_per_hour`, `cpu_usage_percent`) says nothing while its window
/// reaches back into a time in which the monitor did not run: it was stopped, or the whole process
/// was.
///
/// # One condition is one alert
///
/// Where rules of the same metric in the same direction, such as `> 80` and `> 95`, fire for the
/// same thing, only those of the highest severity do; others are `superseded`, and fire again if
/// they still hold when the worse one does not.
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
    pub(crate) unless_a_provider_fails: bool,
}

/// What a value is to a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The comparison holds.
    Holds,
    /// It does not, but not by the margin.
    Near,
    /// It does not, by the margin.
    Clear,
    /// There is no value, for want of samples.
    TooFew,
    /// There is no value, as time went by unobserved.
    Blind,
}

impl AlertRule {
    /// The window of a rule that has no other.
    pub(crate) const WINDOW: Duration = Duration::from_secs(5 * 60);

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
            window: Self::WINDOW,
            pending_for: Duration::ZERO,
            min_samples: 20,
            unless_a_provider_fails: false,
        }
    }

    /// A rule as it is spelled in the configuration, such as
    /// `("response_time_ms", 2000.0, ">", "warning")`.
    ///
    /// # Errors
    /// One of the names is unknown, or the threshold is not finite.
    pub fn parse(
        metric: &str,
        threshold: f64,
        comparison: &str,
        severity: &str,
    ) -> Result<Self, AlertRuleError> {
        let metric = AlertMetric::from_name(metric).ok_or(AlertRuleError::UnknownMetric)?;
        let comparison =
            Comparison::from_symbol(comparison).ok_or(AlertRuleError::UnknownComparison)?;
        let severity = Severity::from_name(severity).ok_or(AlertRuleError::UnknownSeverity)?;
        let rule = Self::new(metric, comparison, threshold, severity);
        rule.check()?;
        Ok(rule)
    }

    /// The same under a name of its own, of up to 128 printable characters: a later rule of that name
    /// replaces it.
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

    /// The same over another window: above zero, up to 48 h. One that is longer than the retention
    /// is cut to it.
    #[must_use]
    pub const fn with_window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// The same, but it fires only after it was the case for so long without a break, up to 48 h.
    #[must_use]
    pub const fn with_for(mut self, pending_for: Duration) -> Self {
        self.pending_for = pending_for;
        self
    }

    /// The same with another number of samples below which it says nothing. With 0, a
    /// `requests_per_second` of nothing is 0, once a minute or the window has been seen.
    #[must_use]
    pub const fn with_min_samples(mut self, samples: u64) -> Self {
        self.min_samples = samples;
        self
    }

    /// The same, but superseded while a provider's alert tells the same: if one of its failures
    /// (`error_rate_percent` above or `success_rate_percent` below a threshold) fires with at
    /// least this severity, and the failed attempts of such providers are at least half as many
    /// as the failed operations. It is of use for failures at [`AlertScope::Gateway`], and does
    /// nothing elsewhere.
    #[must_use]
    pub const fn unless_a_provider_fails(mut self) -> Self {
        self.unless_a_provider_fails = true;
        self
    }

    /// Its id: the one that was given, or what it says.
    #[must_use]
    pub fn id(&self) -> String {
        use std::fmt::Write;
        if let Some(id) = &self.id {
            return id.clone();
        }
        let (metric, comparison) = (self.metric.name(), self.comparison.symbol());
        let mut id = format!("{metric} {comparison} {}", self.severity.name());
        // Writing to a string does not fail.
        if self.scope != self.metric.default_scope() {
            write!(id, " {}", self.scope).ok();
        }
        if self.window != Self::WINDOW {
            write!(id, " over {:?}", self.window).ok();
        }
        id
    }

    /// What is watched.
    #[must_use]
    pub const fn metric(&self) -> AlertMetric {
        self.metric
    }

    /// How it is compared.
    #[must_use]
    pub const fn comparison(&self) -> Comparison {
        self.comparison
    }

    /// What it is compared with.
    #[must_use]
    pub const fn threshold(&self) -> f64 {
        self.threshold
    }

    /// How bad it is.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        self.severity
    }

    /// Where it is watched.
    #[must_use]
    pub const fn scope(&self) -> &AlertScope {
        &self.scope
    }

    /// Whether it is a rule that can be: its threshold is finite, its metric is one of its scope,
    /// its window and its wait are in range, its names can be shown. The builder and all that
    /// changes rules while the monitor runs ask this.
    ///
    /// # Errors
    /// It is not; the error tells which field, and what is allowed.
    pub fn check(&self) -> Result<(), AlertRuleError> {
        if !self.threshold.is_finite() {
            return Err(AlertRuleError::ThresholdNotFinite);
        }
        if !self.metric.is_of(&self.scope) {
            let metric = self.metric.name();
            let allowed = if self.metric.is_of_process() {
                "process"
            } else if self.metric.is_of_attempts() {
                "gateway, each provider, a provider, a model"
            } else {
                "gateway, each provider, a provider, a model, each endpoint, an endpoint"
            };
            return Err(AlertRuleError::NotOfScope { metric, allowed });
        }
        if self.window.is_zero() || self.window > LONGEST {
            return Err(AlertRuleError::Window);
        }
        if self.pending_for > LONGEST {
            return Err(AlertRuleError::For);
        }
        if self.id.as_deref().is_some_and(|id| !is_name(id)) {
            return Err(AlertRuleError::Id);
        }
        let names: [&str; 2] = match &self.scope {
            AlertScope::Provider(name) | AlertScope::Endpoint(name) => [name, name],
            AlertScope::Model { provider, model } => [provider, model],
            _ => return Ok(()),
        };
        if names.into_iter().all(is_name) {
            Ok(())
        } else {
            Err(AlertRuleError::ScopeName)
        }
    }

    /// What `value` is to it.
    pub(super) fn verdict(&self, value: f64) -> Verdict {
        if !value.is_finite() {
            return Verdict::TooFew;
        }
        let (threshold, margin) = (self.threshold, self.margin());
        if self.comparison.holds(value, threshold) {
            return Verdict::Holds;
        }
        let is_back = match self.comparison.direction() {
            Direction::Up => value <= threshold - margin,
            Direction::Down => value >= threshold + margin,
            Direction::Exact => (value - threshold).abs() >= margin,
        };
        if is_back {
            Verdict::Clear
        } else {
            Verdict::Near
        }
    }

    fn margin(&self) -> f64 {
        let margin = self.threshold.abs() * MARGIN;
        match self.comparison.direction() {
            // Else a rate that was to be above 99 would have to come back to 104.
            Direction::Down if self.metric.is_percent() => {
                margin.min((100.0 - self.threshold).max(0.0) / 2.0)
            }
            _ => margin,
        }
    }

    /// Whether it is computed from slots; what is not is a number at the last collection.
    pub(super) fn is_on_board(&self) -> bool {
        self.scope != AlertScope::Process || self.metric == AlertMetric::CpuUsagePercent
    }

    /// Whether it is about failures: at a provider, what may be the reason of the gateway's.
    pub(super) fn is_of_failures(&self) -> bool {
        matches!(
            (self.metric, self.comparison.direction()),
            (AlertMetric::ErrorRatePercent, Direction::Up)
                | (AlertMetric::SuccessRatePercent, Direction::Down)
        )
    }

    /// Whether `other`, set later, stands for this one: it has the same id; or where either has
    /// none, the same metric, scope, severity, comparison and window, which then make the id.
    pub(crate) fn is_replaced_by(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl std::fmt::Display for AlertScope {
    /// `process`, `gateway`, `each provider`, `provider "<name>"`, `model "<provider>"/"<model>"`,
    /// `each endpoint`, `endpoint "<path>"`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Process => f.write_str("process"),
            Self::Gateway => f.write_str("gateway"),
            Self::EachProvider => f.write_str("each provider"),
            Self::Provider(name) => write!(f, "provider {name:?}"),
            Self::Model { provider, model } => write!(f, "model {provider:?}/{model:?}"),
            Self::EachEndpoint => f.write_str("each endpoint"),
            Self::Endpoint(path) => write!(f, "endpoint {path:?}"),
        }
    }
}

/// Whether a name can be shown.
pub(super) fn is_name(name: &str) -> bool {
    (1..=MAX_NAME_CHARACTERS).contains(&name.chars().count()) && !name.chars().any(is_unprintable)
}
