//! The whole report, and its short form for the last minutes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::core::aggregate::{Aggregate, usd};
use crate::core::events::PerformanceEvent;
use crate::core::memory::MemoryMetrics;
use crate::core::snapshot::Snapshot;
use crate::core::views::component::{self, ComponentPerformance};
use crate::core::views::endpoint::{self, EndpointPerformance, EndpointsSummary};
use crate::core::views::process::{self, ProcessMetrics};
use crate::core::views::provider::{self, ProviderPerformance, ProvidersSummary};
use crate::core::views::reading::{Reading, SeriesReading};
use crate::core::views::stats::{ErrorBound, PerformanceStats};
use crate::core::views::{Coverage, ViewError, percent};
use crate::core::window::Window;
use crate::names;

/// What only the report shows.
const METRICS: [&str; 6] = [
    names::CACHE_RESULTS,
    names::RATE_LIMIT_HITS,
    names::TIMEOUTS,
    names::FAILOVERS,
    names::CACHE_SAVED_COST,
    names::CACHE_SAVED_TIME,
];

/// How many events the real-time view shows.
const RECENT_EVENTS: usize = 100;

/// The last minutes: the answer of `/performance/real-time`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct RealTimeView {
    /// What the answer is about.
    #[serde(flatten)]
    pub coverage: Coverage,
    /// Whether the monitor collects.
    pub monitoring_active: bool,
    /// The memory of the process.
    pub memory_metrics: MemoryMetrics,
    /// CPU, network, input and output of the process.
    pub process_metrics: ProcessMetrics,
    /// By provider.
    pub provider_performance: BTreeMap<String, ProviderPerformance>,
    /// By path.
    pub endpoint_performance: BTreeMap<String, EndpointPerformance>,
    /// The newest events, at most 100, newest last.
    pub recent_events: Vec<PerformanceEvent>,
    /// How many alerts fire.
    pub active_alerts: usize,
    /// One text for each.
    pub alerts: Vec<String>,
}

/// Everything at once: the answer of `/performance`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct PerformanceReport {
    /// What the answer is about.
    #[serde(flatten)]
    pub coverage: Coverage,
    /// Whether the monitor collects.
    pub monitoring_active: bool,
    /// The time from the building of the monitor to the collection, in seconds.
    pub uptime_seconds: f64,
    /// The memory of the process.
    pub memory_metrics: MemoryMetrics,
    /// CPU, network, input and output of the process.
    pub process_metrics: ProcessMetrics,
    /// By provider.
    pub provider_performance: BTreeMap<String, ProviderPerformance>,
    /// All providers together.
    pub summary: ProvidersSummary,
    /// By path.
    pub endpoint_performance: BTreeMap<String, EndpointPerformance>,
    /// All endpoints together.
    pub aggregated: EndpointsSummary,
    /// By component.
    pub component_performance: BTreeMap<String, ComponentPerformance>,
    /// By name: what the timers observed.
    pub timers: BTreeMap<String, PerformanceStats>,
    /// What the response cache answered.
    pub cache: CacheCounts,
    /// How often a rate limit was hit, as events tell.
    pub rate_limit_hits: u64,
    /// Those of the gateway's own limits: of events that name no provider, outside of any attempt.
    pub gateway_rate_limit_hits: u64,
    /// Those of the providers' limits.
    pub provider_rate_limit_hits: u64,
    /// How often something took too long.
    pub timeouts: u64,
    /// How often one provider stood in for another.
    pub failovers: Vec<Failover>,
    /// How many alerts fire.
    pub active_alerts: usize,
    /// One text for each.
    pub alerts: Vec<String>,
}

/// What the response cache answered.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct CacheCounts {
    /// How often it had the answer.
    pub hits: u64,
    /// How often it had not.
    pub misses: u64,
    /// How many of 100 it had; `null` without any.
    pub hit_rate_percent: Option<f64>,
    /// What the answers that it had would have cost, in USD, as far as that was told.
    pub saved_cost: f64,
    /// How long they would have taken together, in seconds, as far as that was told.
    pub saved_seconds: f64,
}

/// How often one provider stood in for another.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct Failover {
    /// The provider that was given up.
    pub from: String,
    /// The provider that took over.
    pub to: String,
    /// Why.
    pub reason: String,
    /// How often.
    pub count: u64,
}

/// What was done in `window`, and what is going on.
pub(crate) fn real_time(snapshot: &Snapshot, window: Window) -> Result<RealTimeView, ViewError> {
    let metrics = [
        &provider::METRICS[..],
        &endpoint::METRICS,
        &process::METRICS,
    ]
    .concat();
    let reading = Reading::new(snapshot, window, &metrics, |_| true)?;
    let mut error = ErrorBound::default();
    let (provider_performance, _) = provider::of_reading(&reading, None, &mut error)?;
    let (endpoint_performance, _) = endpoint::of_reading(&reading, None, &mut error)?;
    let alerts = snapshot.alerts.texts();
    Ok(RealTimeView {
        coverage: reading.coverage(error),
        monitoring_active: snapshot.monitoring_active,
        memory_metrics: snapshot.memory,
        process_metrics: process::of_reading(&reading),
        provider_performance,
        endpoint_performance,
        recent_events: snapshot.recent_events.newest(RECENT_EVENTS),
        active_alerts: alerts.len(),
        alerts,
    })
}

/// Everything at once.
pub(crate) fn report(snapshot: &Snapshot, window: Window) -> Result<PerformanceReport, ViewError> {
    let metrics = [
        &provider::METRICS[..],
        &endpoint::METRICS,
        &component::METRICS,
        &process::METRICS,
        &METRICS,
    ];
    let reading = Reading::new(snapshot, window, &metrics.concat(), |_| true)?;
    let mut error = ErrorBound::default();
    let (provider_performance, summary) = provider::of_reading(&reading, None, &mut error)?;
    let (endpoint_performance, aggregated) = endpoint::of_reading(&reading, None, &mut error)?;
    let component_performance = component::of_reading(&reading, &mut error);
    let timers = component::timers_of_reading(&reading, &mut error);
    let alerts = snapshot.alerts.texts();
    Ok(PerformanceReport {
        coverage: reading.coverage(error),
        monitoring_active: snapshot.monitoring_active,
        uptime_seconds: snapshot.collected_at.since(snapshot.started).as_secs_f64(),
        memory_metrics: snapshot.memory,
        process_metrics: process::of_reading(&reading),
        provider_performance,
        summary,
        endpoint_performance,
        aggregated,
        component_performance,
        timers,
        cache: cache(&reading),
        rate_limit_hits: total(reading.of(&[names::RATE_LIMIT_HITS])),
        gateway_rate_limit_hits: rate_limits_by(&reading, names::BY_GATEWAY),
        provider_rate_limit_hits: rate_limits_by(&reading, names::BY_PROVIDER),
        timeouts: total(reading.of(&[names::TIMEOUTS])),
        failovers: failovers(&reading),
        active_alerts: alerts.len(),
        alerts,
    })
}

fn cache(reading: &Reading<'_>) -> CacheCounts {
    let of = |result| {
        let series = reading.of(&[names::CACHE_RESULTS]);
        total(series.filter(move |series| series.label(names::CACHE_RESULT) == result))
    };
    let costs = reading.of(&[names::CACHE_SAVED_COST]);
    let saved = costs.fold(0_i128, |sum, series| match &series.aggregate {
        Some(Aggregate::Money(nano)) => sum.saturating_add(*nano),
        _ => sum,
    });
    let seconds = reading.of(&[names::CACHE_SAVED_TIME]);
    let (hits, misses) = (of(names::CACHE_HIT), of(names::CACHE_MISS));
    CacheCounts {
        hits,
        misses,
        hit_rate_percent: percent(hits, hits.saturating_add(misses)),
        saved_cost: usd(saved),
        saved_seconds: seconds.map(SeriesReading::sum).sum(),
    }
}

fn rate_limits_by(reading: &Reading<'_>, by: &str) -> u64 {
    let hits = reading.of(&[names::RATE_LIMIT_HITS]);
    total(hits.filter(|series| series.label(names::RATE_LIMIT_BY) == by))
}

fn failovers(reading: &Reading<'_>) -> Vec<Failover> {
    let mut counts: BTreeMap<(&str, &str, &str), u64> = BTreeMap::new();
    for series in reading.of(&[names::FAILOVERS]) {
        let count = total(std::iter::once(series));
        if count > 0 {
            let from = series.label(names::FAILOVER_FROM);
            let to = series.label(names::FAILOVER_TO);
            let reason = series.label(names::FAILOVER_REASON);
            *counts.entry((from, to, reason)).or_default() += count;
        }
    }
    let failover = |((from, to, reason), count): ((&str, &str, &str), u64)| Failover {
        from: from.to_owned(),
        to: to.to_owned(),
        reason: reason.to_owned(),
        count,
    };
    counts.into_iter().map(failover).collect()
}

/// The sum of counters.
fn total<'r, 'a: 'r>(series: impl Iterator<Item = &'r SeriesReading<'a>>) -> u64 {
    series.map(SeriesReading::sum).sum::<f64>().round() as u64
}
