//! What the endpoints did.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use crate::core::series::SeriesKey;
use crate::core::snapshot::Snapshot;
use crate::core::views::chain::{self, ChainBuilder, ChainStats};
use crate::core::views::faults::Faults;
use crate::core::views::reading::{Reading, SeriesReading, failed, label};
use crate::core::views::stats::{ErrorBound, PerformanceStats, StatsBuilder};
use crate::core::views::{Coverage, ViewError, average};
use crate::core::window::Window;
use crate::names;

pub(super) const METRICS: [&str; 6] = [
    OPERATIONS[0],
    OPERATIONS[1],
    OPERATIONS[2],
    chain::METRICS[0],
    chain::METRICS[1],
    chain::METRICS[2],
];

/// What tells that there is an endpoint.
const OPERATIONS: [&str; 3] = [
    names::HTTP_SERVER_REQUEST_DURATION,
    names::HTTP_SERVER_REQUEST_BODY_SIZE,
    names::HTTP_SERVER_RESPONSE_BODY_SIZE,
];

/// All endpoints: the answer of `/performance/endpoints`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct EndpointsView {
    /// What the answer is about.
    #[serde(flatten)]
    pub coverage: Coverage,
    /// How many `endpoints` there are.
    pub endpoints_count: usize,
    /// By path: the configured ones, and those that were called in the window.
    pub endpoints: BTreeMap<String, EndpointPerformance>,
    /// All of `endpoints` together.
    pub aggregated: EndpointsSummary,
}

/// What one endpoint did: its operations, whatever their method.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct EndpointPerformance {
    /// The route template.
    pub endpoint_path: String,
    /// The method; of several, all of them with commas between; `null` before the first request.
    pub method: Option<String>,
    /// What its operations did.
    #[serde(flatten)]
    pub all: MethodPerformance,
    /// What came of their attempts.
    #[serde(flatten)]
    pub chains: ChainStats,
    /// The same by method.
    pub methods: BTreeMap<String, MethodPerformance>,
}

/// What the operations of an endpoint did, with one method or with all.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct MethodPerformance {
    /// The operations. One failed if its status is 400 or more, if there was an error, or if the
    /// client hung up.
    pub stats: PerformanceStats,
    /// How many, by status code.
    pub status_code_counts: BTreeMap<String, u64>,
    /// How many failed, by `error.type`.
    pub error_type_counts: BTreeMap<String, u64>,
    /// How many failed, by whose fault it was; where there is no `error.type`, as the status says.
    pub failed_operations_by_fault: Faults,
    /// What a request is like.
    pub parameter_averages: ParameterAverages,
    /// How many per minute, over the window.
    pub requests_per_minute: Option<f64>,
    /// The end of the last collection with an operation of the window, in Unix seconds.
    pub last_access: Option<f64>,
}

/// Averages over those requests whose size is known; `null` without any.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct ParameterAverages {
    /// The average body of a request, in bytes.
    pub avg_request_size: Option<f64>,
    /// The average body of a response, in bytes.
    pub avg_response_size: Option<f64>,
}

/// All endpoints of an answer together.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct EndpointsSummary {
    /// How many operations.
    pub total_operations: u64,
    /// How many of 100 succeeded.
    pub success_rate_percent: Option<f64>,
    /// The average duration, in milliseconds.
    pub average_duration_ms: Option<f64>,
    /// How many, by status code.
    pub status_code_distribution: BTreeMap<String, u64>,
    /// How many failed, by whose fault it was.
    pub failed_operations_by_fault: Faults,
    /// What came of their attempts.
    #[serde(flatten)]
    pub chains: ChainStats,
}

/// What the endpoints did in `window`, or only the one of that path.
pub(crate) fn endpoints(
    snapshot: &Snapshot,
    window: Window,
    only: Option<&str>,
) -> Result<EndpointsView, ViewError> {
    let wanted = |key: &SeriesKey| only.is_none_or(|only| label(key, names::HTTP_ROUTE) == only);
    let reading = Reading::new(snapshot, window, &METRICS, wanted)?;
    let mut error = ErrorBound::default();
    let (endpoints, aggregated) = of_reading(&reading, only, &mut error)?;
    Ok(EndpointsView {
        coverage: reading.coverage(error),
        endpoints_count: endpoints.len(),
        endpoints,
        aggregated,
    })
}

/// What they did, by name; the largest error of a percentile goes to `error`.
pub(super) fn of_reading(
    reading: &Reading<'_>,
    only: Option<&str>,
    error: &mut ErrorBound,
) -> Result<(BTreeMap<String, EndpointPerformance>, EndpointsSummary), ViewError> {
    let mut builders: BTreeMap<&str, EndpointBuilder<'_>> = BTreeMap::new();
    let mut shown: BTreeSet<&str> = BTreeSet::new();
    for endpoint in &reading.snapshot.configured.endpoints {
        builders.entry(endpoint).or_default();
        shown.insert(endpoint);
    }
    for series in reading.of(&OPERATIONS) {
        let endpoint = series.label(names::HTTP_ROUTE);
        let builder = builders.entry(endpoint).or_default();
        if series.aggregate.is_some() {
            builder.add(series);
            shown.insert(endpoint);
        }
    }
    // Of an endpoint that another scope tells of, we may know chains only.
    for series in reading.of(&chain::METRICS) {
        if let Some(builder) = builders.get_mut(series.label(names::HTTP_ROUTE))
            && series.aggregate.is_some()
        {
            builder.chains.add(series);
            builder.chain_series.push(series);
        }
    }
    if let Some(only) = only {
        // Known, if only from before the window.
        if !builders.contains_key(only) {
            return Err(ViewError::UnknownEndpoint);
        }
        builders.retain(|endpoint, _| *endpoint == only);
    } else {
        builders.retain(|endpoint, _| shown.contains(endpoint));
    }

    let mut everything = OperationsBuilder::default();
    let mut chains = ChainBuilder::default();
    for builder in builders.values() {
        builder
            .series
            .iter()
            .for_each(|series| everything.add(series));
        builder
            .chain_series
            .iter()
            .for_each(|series| chains.add(series));
    }
    // Its percentiles are not shown, so their error is not either.
    let all = everything.finish(reading, &mut ErrorBound::default());
    let aggregated = EndpointsSummary {
        total_operations: all.stats.total_operations,
        success_rate_percent: all.stats.success_rate_percent,
        average_duration_ms: all.stats.avg_duration_ms,
        status_code_distribution: all.status_code_counts,
        failed_operations_by_fault: all.failed_operations_by_fault,
        chains: chains.finish(error),
    };
    let endpoints = builders
        .into_iter()
        .map(|(path, builder)| (path.to_owned(), builder.finish(path, reading, error)))
        .collect();
    Ok((endpoints, aggregated))
}

#[derive(Debug, Default)]
struct EndpointBuilder<'r> {
    all: OperationsBuilder,
    methods: BTreeMap<&'r str, OperationsBuilder>,
    series: Vec<&'r SeriesReading<'r>>,
    chains: ChainBuilder,
    chain_series: Vec<&'r SeriesReading<'r>>,
}

impl<'r> EndpointBuilder<'r> {
    fn add(&mut self, series: &'r SeriesReading<'_>) {
        let method = series.label(names::HTTP_REQUEST_METHOD);
        self.all.add(series);
        self.methods.entry(method).or_default().add(series);
        self.series.push(series);
    }

    fn finish(
        &self,
        path: &str,
        reading: &Reading<'_>,
        error: &mut ErrorBound,
    ) -> EndpointPerformance {
        let names: Vec<&str> = self.methods.keys().copied().collect();
        let methods = self
            .methods
            .iter()
            .map(|(method, builder)| (method.to_string(), builder.finish(reading, error)));
        let methods = methods.collect();
        EndpointPerformance {
            endpoint_path: path.to_owned(),
            method: (!names.is_empty()).then(|| names.join(", ")),
            all: self.all.finish(reading, error),
            chains: self.chains.finish(error),
            methods,
        }
    }
}

#[derive(Debug, Default)]
struct OperationsBuilder {
    operations: StatsBuilder,
    status_codes: BTreeMap<String, u64>,
    error_types: BTreeMap<String, u64>,
    faults: Faults,
    request_sizes: Average,
    response_sizes: Average,
}

impl OperationsBuilder {
    fn add(&mut self, series: &SeriesReading<'_>) {
        match &*series.key.metric {
            names::HTTP_SERVER_REQUEST_BODY_SIZE => self.request_sizes.add(series),
            names::HTTP_SERVER_RESPONSE_BODY_SIZE => self.response_sizes.add(series),
            _ => self.add_operations(series),
        }
    }

    fn add_operations(&mut self, series: &SeriesReading<'_>) {
        let status = series.key.labels.get(names::HTTP_RESPONSE_STATUS_CODE);
        let error_type = series.error_type();
        self.operations.add(series, failed(series.key));
        if let Some(status) = status {
            *self.status_codes.entry(status.to_owned()).or_default() += series.count();
        }
        if let Some(error_type) = error_type {
            *self.error_types.entry(error_type.to_owned()).or_default() += series.count();
        }
        // An operation with a status below 500 has no error type, though it failed.
        let by_status = status.filter(|_| failed(series.key));
        if let Some(error_type) = error_type.or(by_status) {
            self.faults.add(error_type, series.count());
        }
    }

    fn finish(&self, reading: &Reading<'_>, error: &mut ErrorBound) -> MethodPerformance {
        let stats = self.operations.finish(reading.last_minute_seconds, error);
        let minutes = reading.seconds() / 60.0;
        let rated = stats.total_operations > 0 && minutes > 0.0;
        MethodPerformance {
            requests_per_minute: rated.then(|| stats.total_operations as f64 / minutes),
            stats,
            status_code_counts: self.status_codes.clone(),
            error_type_counts: self.error_types.clone(),
            failed_operations_by_fault: self.faults,
            parameter_averages: ParameterAverages {
                avg_request_size: self.request_sizes.get(),
                avg_response_size: self.response_sizes.get(),
            },
            last_access: self.operations.last_update(),
        }
    }
}

#[derive(Debug, Default)]
struct Average {
    sum: f64,
    count: u64,
}

impl Average {
    fn add(&mut self, series: &SeriesReading<'_>) {
        self.sum += series.sum();
        self.count = self.count.saturating_add(series.count());
    }

    fn get(&self) -> Option<f64> {
        average(self.sum, self.count)
    }
}
