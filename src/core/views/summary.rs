//! The indicators of a status page.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::core::alerts::view::SystemHealth;
use crate::core::error_type;
use crate::core::memory::MemoryMetrics;
use crate::core::snapshot::Snapshot;
use crate::core::views::process::{self, ProcessMetrics};
use crate::core::views::provider::{self, ProviderPerformance, ProvidersSummary};
use crate::core::views::reading::{Reading, SeriesReading, failed};
use crate::core::views::stats::{ErrorBound, PerformanceStats, StatsBuilder};
use crate::core::views::{Coverage, ViewError, percent};
use crate::core::window::Window;
use crate::names;

/// How the gateway is: the guide's key indicators.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct KeyIndicators {
    /// What the answer is about.
    #[serde(flatten)]
    pub coverage: Coverage,
    /// Whether the monitor collects.
    pub monitoring_active: bool,
    /// `healthy`, `degraded` if a warning fires, `critical` if a critical alert does.
    pub system_health: SystemHealth,
    /// How many alerts fire.
    pub active_alerts: usize,
    /// One text for each.
    pub alerts: Vec<String>,
    /// Whether it is up, and answers.
    pub availability: Availability,
    /// How long operations and attempts take.
    pub response_time: ResponseTime,
    /// How many there are.
    pub throughput: Throughput,
    /// How many fail.
    pub error_rate: ErrorRate,
    /// What the process uses.
    pub resources: ProcessResources,
    /// How each provider is, by name.
    pub providers: BTreeMap<String, ProviderHealth>,
    /// What it costs.
    pub cost: CostSummary,
}

/// Whether the gateway is up, and answers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct Availability {
    /// Of 100 operations, how many succeeded, those left out that failed by the caller's fault: a
    /// malformed, forbidden or unknown request, or one that was cancelled, says nothing of whether
    /// the gateway is there. `null` without operations.
    pub availability_percent: Option<f64>,
    /// Of 100 operations, how many succeeded, whoever's fault a failure was.
    pub success_rate_percent: Option<f64>,
    /// Time since the process started, in seconds.
    pub uptime_seconds: Option<f64>,
    /// Time since the monitor was built, in seconds.
    pub monitor_uptime_seconds: f64,
}

/// How long operations and attempts take.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct ResponseTime {
    /// What the gateway's clients asked for.
    pub operations: ResponseTimes,
    /// The calls to providers.
    pub attempts: ResponseTimes,
}

/// How long something takes, in milliseconds; `null` without samples.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct ResponseTimes {
    /// The average.
    pub average_response_time_ms: Option<f64>,
    /// Half took at most so long.
    pub p50_response_time_ms: Option<f64>,
    /// 95 % took at most so long.
    pub p95_response_time_ms: Option<f64>,
    /// 99 % took at most so long.
    pub p99_response_time_ms: Option<f64>,
}

/// How many operations and attempts there are.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct Throughput {
    /// Operations in the window.
    pub total_requests: u64,
    /// Operations per second, over the last minute.
    pub requests_per_second: Option<f64>,
    /// Operations per minute, over the window.
    pub requests_per_minute: Option<f64>,
    /// Attempts in the window.
    pub total_attempts: u64,
    /// Attempts per second, over the last minute.
    pub attempts_per_second: Option<f64>,
    /// Attempts per minute, over the window.
    pub attempts_per_minute: Option<f64>,
}

/// How many operations and attempts fail.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct ErrorRate {
    /// Operations that failed.
    pub failed_requests: u64,
    /// How many of 100 operations failed.
    pub error_rate_percent: Option<f64>,
    /// Attempts that failed.
    pub failed_attempts: u64,
    /// How many of 100 attempts failed.
    pub attempt_error_rate_percent: Option<f64>,
}

/// What the process uses.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct ProcessResources {
    /// Its memory.
    pub memory: MemoryMetrics,
    /// CPU, network, input and output.
    #[serde(flatten)]
    pub process: ProcessMetrics,
}

/// How a provider is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct ProviderHealth {
    /// Whether at least 80 % of the attempts of the last five minutes succeeded, as
    /// `/performance/providers` has it.
    pub healthy: Option<bool>,
    /// How many attempts.
    pub total_requests: u64,
    /// How many of 100 succeeded.
    pub success_rate_percent: Option<f64>,
    /// How many of 100 succeeded, the caller's faults left out.
    pub provider_success_rate_percent: Option<f64>,
    /// 95 % took at most so long, in milliseconds.
    pub p95_response_time_ms: Option<f64>,
    /// The cost of all attempts, in USD.
    pub total_cost: f64,
    /// The end of the last collection with a success, in Unix seconds.
    pub last_success: Option<f64>,
    /// The end of the last collection with a failure, in Unix seconds.
    pub last_failure: Option<f64>,
}

/// What the attempts cost, in USD.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct CostSummary {
    /// All of them.
    pub total_cost: f64,
    /// On average.
    pub cost_per_request: Option<f64>,
    /// In an hour, at the pace of the window.
    pub cost_per_hour: Option<f64>,
}

/// How the gateway was in `window`.
pub(crate) fn indicators(snapshot: &Snapshot, window: Window) -> Result<KeyIndicators, ViewError> {
    let metrics = [
        &provider::METRICS[..],
        &[names::HTTP_SERVER_REQUEST_DURATION],
        &process::METRICS,
    ];
    let reading = Reading::new(snapshot, window, &metrics.concat(), |_| true)?;
    let mut error = ErrorBound::default();
    let mut attempts = StatsBuilder::default();
    for series in reading.of(&[names::GEN_AI_OPERATION_DURATION]) {
        attempts.add(series, series.error_type().is_some());
    }
    let mut operations = StatsBuilder::default();
    let mut callers_faults = 0_u64;
    for series in reading.of(&[names::HTTP_SERVER_REQUEST_DURATION]) {
        operations.add(series, failed(series.key));
        if is_callers_fault(series) {
            callers_faults = callers_faults.saturating_add(series.count());
        }
    }
    let attempts = attempts.finish(reading.last_minute_seconds, &mut error);
    let operations = operations.finish(reading.last_minute_seconds, &mut error);
    // Before the coverage, since they have percentiles too.
    let (providers, money) = provider::of_reading(&reading, None, &mut error)?;
    let process = process::of_reading(&reading);
    let alerts = snapshot.alerts.texts();
    let judged = operations.total_operations.saturating_sub(callers_faults);
    Ok(KeyIndicators {
        monitoring_active: snapshot.monitoring_active,
        system_health: snapshot.alerts.system_health,
        active_alerts: alerts.len(),
        alerts,
        availability: Availability {
            availability_percent: percent(operations.successful_operations, judged),
            success_rate_percent: operations.success_rate_percent,
            uptime_seconds: process.uptime_seconds,
            monitor_uptime_seconds: process.monitor_uptime_seconds,
        },
        response_time: ResponseTime {
            operations: ResponseTimes::of(&operations),
            attempts: ResponseTimes::of(&attempts),
        },
        throughput: Throughput {
            total_requests: operations.total_operations,
            requests_per_second: operations.operations_per_second,
            requests_per_minute: per_minute(&operations, &reading),
            total_attempts: attempts.total_operations,
            attempts_per_second: attempts.operations_per_second,
            attempts_per_minute: per_minute(&attempts, &reading),
        },
        error_rate: ErrorRate {
            failed_requests: operations.failed_operations,
            error_rate_percent: error_rate(&operations),
            failed_attempts: attempts.failed_operations,
            attempt_error_rate_percent: error_rate(&attempts),
        },
        resources: ProcessResources {
            memory: snapshot.memory,
            process,
        },
        providers: providers.into_iter().map(health).collect(),
        cost: cost(&money, &reading),
        coverage: reading.coverage(error),
    })
}

/// Whether it was the caller who made these operations fail.
fn is_callers_fault(series: &SeriesReading<'_>) -> bool {
    let status = series.key.labels.get(names::HTTP_RESPONSE_STATUS_CODE);
    let is_callers = |text: &str| error_type::domain(text).is_callers();
    match series.error_type() {
        Some(error) => is_callers(error),
        None => failed(series.key) && status.is_some_and(is_callers),
    }
}

impl ResponseTimes {
    fn of(stats: &PerformanceStats) -> Self {
        Self {
            average_response_time_ms: stats.avg_duration_ms,
            p50_response_time_ms: stats.p50_duration_ms,
            p95_response_time_ms: stats.p95_duration_ms,
            p99_response_time_ms: stats.p99_duration_ms,
        }
    }
}

fn per_minute(stats: &PerformanceStats, reading: &Reading<'_>) -> Option<f64> {
    let minutes = reading.seconds() / 60.0;
    let rated = stats.total_operations > 0 && minutes > 0.0;
    rated.then(|| stats.total_operations as f64 / minutes)
}

fn error_rate(stats: &PerformanceStats) -> Option<f64> {
    percent(stats.failed_operations, stats.total_operations)
}

fn health((name, provider): (String, ProviderPerformance)) -> (String, ProviderHealth) {
    let health = ProviderHealth {
        healthy: provider.healthy,
        total_requests: provider.total_requests,
        success_rate_percent: provider.success_rate_percent,
        provider_success_rate_percent: provider.provider_success_rate_percent,
        p95_response_time_ms: provider.p95_response_time_ms,
        total_cost: provider.total_cost,
        last_success: provider.last_success,
        last_failure: provider.last_failure,
    };
    (name, health)
}

fn cost(money: &ProvidersSummary, reading: &Reading<'_>) -> CostSummary {
    let hours = reading.seconds() / 3_600.0;
    CostSummary {
        total_cost: money.total_estimated_cost,
        cost_per_request: money.average_cost_per_request,
        cost_per_hour: (hours > 0.0).then(|| money.total_estimated_cost / hours),
    }
}

#[cfg(test)]
mod tests;
