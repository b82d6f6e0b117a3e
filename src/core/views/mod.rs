//! The views: what a snapshot says of providers, endpoints and components over a window.

mod chain;
mod comparison;
mod component;
mod endpoint;
mod experiment;
mod faults;
mod history;
mod memory;
mod process;
pub(crate) mod provider;
mod rate_limit;
pub(crate) mod reading;
mod report;
mod slowest;
mod stats;
mod summary;

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

pub use chain::ChainStats;
pub use comparison::{
    DurationComparison, ShareComparison, Significance, SignificanceTest, VariantComparison,
};
pub use component::{ComponentPerformance, ComponentsView};
pub use endpoint::{
    EndpointPerformance, EndpointsSummary, EndpointsView, MethodPerformance, ParameterAverages,
};
pub use experiment::{ExperimentPerformance, ExperimentsView, VariantPerformance};
pub use faults::Faults;
pub use history::{HistoryMetric, HistoryPoint, HistoryQuery, HistoryScope, HistoryView};
pub use memory::{MemoryTrends, MemoryView};
pub use process::{CpuMetrics, IoMetrics, NetworkMetrics, ProcessMetrics};
pub use provider::{
    ModelPerformance, ProviderPerformance, ProvidersSummary, ProvidersView, UnpricedModel,
};
pub use rate_limit::RateLimit;
pub use report::{CacheCounts, Failover, PerformanceReport, RealTimeView};
pub use slowest::{FewRequests, ProviderSlowest, RequestDetail, SlowestView};
pub use stats::{FirstTokenStats, OutputChunkStats, PerformanceStats};
pub use summary::{
    Availability, CostSummary, ErrorRate, KeyIndicators, ProcessResources, ProviderHealth,
    ResponseTime, ResponseTimes, Throughput,
};

pub(crate) use component::components;
pub(crate) use endpoint::endpoints;
pub(crate) use experiment::experiments;
pub(crate) use history::history;
#[cfg(feature = "server")]
pub(crate) use history::known_scopes;
pub(crate) use memory::memory;
pub(crate) use provider::providers;
#[cfg(feature = "push")]
pub(crate) use reading::sources;
pub(crate) use report::{real_time, report};
#[cfg(feature = "server")]
pub(crate) use slowest::known;
pub(crate) use slowest::slowest;
pub(crate) use summary::indicators;

/// What an answer is about: each view begins with these fields.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct Coverage {
    /// When the numbers were collected, in whole Unix seconds.
    pub timestamp: u64,
    /// When the numbers were collected, in Unix seconds.
    pub collected_at: f64,
    /// The moment after which the numbers begin, in Unix seconds.
    pub window_start: f64,
    /// The moment up to which the numbers go, in Unix seconds.
    pub window_end: f64,
    /// The time really covered, from `window_start` to `window_end`, in seconds.
    pub window_seconds: f64,
    /// How far any percentile of this answer may be from the exact nearest-rank one, in percent
    /// of the exact one. `null` without percentiles, and where the buckets that somebody else
    /// chose allow no such statement.
    pub quantile_error_percent: Option<f64>,
    /// By metric, the instrumentation scope whose series were used: where several scopes recorded
    /// the same metric, their numbers are not added up.
    pub source: BTreeMap<String, String>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ViewError {
    /// More was asked for than is kept.
    #[error("the window, {asked:?}, is longer than what is kept: at most {retention:?}")]
    WindowTooLong {
        /// The window asked for.
        asked: Duration,
        /// The longest there is.
        retention: Duration,
    },
    /// A window of no length.
    #[error("a window has to be longer than zero")]
    WindowEmpty,
    /// Neither configured nor ever seen.
    #[error("there is no provider of that name")]
    UnknownProvider,
    /// Neither configured nor ever seen.
    #[error("there is no endpoint of that path")]
    UnknownEndpoint,
    /// Neither configured nor ever seen.
    #[error("there is no model of that name at that provider")]
    UnknownModel,
    /// Never seen.
    #[error("there is no component, or no operation of it, of that name")]
    UnknownComponent,
    /// Never seen.
    #[error("there is no experiment, or no variant of it, of that name")]
    UnknownExperiment,
    /// Never seen.
    #[error("there is no timer of that name")]
    UnknownTimer,
    /// There is no such figure there.
    #[error("there is no {metric} of {scope}")]
    NotInScope {
        /// The metric asked for.
        metric: &'static str,
        /// Where it was asked for.
        scope: String,
    },
    /// A step of no length.
    #[error("a step has to be longer than zero")]
    StepEmpty,
    /// More points were asked for than are given at once.
    #[error("there are more than 2000 steps in the window: a step of {least:?} would do")]
    StepTooFine {
        /// The shortest step that would do, in whole seconds.
        least: Duration,
    },
}

/// `part` of `whole` in percent; none of nothing.
fn percent(part: u64, whole: u64) -> Option<f64> {
    // Multiplied first: 1930 of 2000 is to be 96.5.
    (whole > 0).then(|| part as f64 * 100.0 / whole as f64)
}

/// `sum` divided by `count`; none of nothing.
fn average(sum: f64, count: u64) -> Option<f64> {
    (count > 0).then(|| sum / count as f64)
}

#[cfg(test)]
mod tests;
