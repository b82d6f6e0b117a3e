//! What the providers and their models did.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::core::aggregate::{Aggregate, usd};
use crate::core::error_type;
use crate::core::prices::PriceTableInfo;
use crate::core::series::SeriesKey;
use crate::core::snapshot::Snapshot;
use crate::core::standing::{Board, HealthReason, HealthState};
use crate::core::views::faults::Faults;
use crate::core::views::rate_limit::{self, RateLimit};
use crate::core::views::reading::{Reading, SeriesReading};
use crate::core::views::stats::{
    Durations, ErrorBound, FirstTokenStats, OutputChunkStats, PerformanceStats, StatsBuilder,
};
use crate::core::views::{Coverage, ViewError, average, percent};
use crate::core::window::Window;
use crate::names;

pub(super) const METRICS: [&str; 9] = [
    names::GEN_AI_OPERATION_DURATION,
    names::GEN_AI_TIME_TO_FIRST_CHUNK,
    names::GEN_AI_TIME_PER_OUTPUT_CHUNK,
    names::GEN_AI_TOKEN_USAGE,
    names::COST,
    names::TOKEN_DETAILS,
    names::STREAMED_TOKENS,
    names::STREAMED_TIME,
    names::UNPRICED,
];

/// A provider is healthy if so many of 100 attempts succeed: the guide's limit of "critical".
const HEALTHY_PERCENT: f64 = 80.0;

/// All providers: the answer of `/performance/providers`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct ProvidersView {
    /// What the answer is about.
    #[serde(flatten)]
    pub coverage: Coverage,
    /// How many `providers` there are.
    pub providers_count: usize,
    /// By name: the configured ones, and those that were called in the window.
    pub providers: BTreeMap<String, ProviderPerformance>,
    /// All of `providers` together.
    pub summary: ProvidersSummary,
    /// The price table in force, if there is one.
    pub prices: Option<PriceTableInfo>,
    /// The models whose calls used tokens and have no cost: nobody told one, and the price table
    /// has no price for them. Most such calls first.
    pub unpriced_models: Vec<UnpricedModel>,
}

/// A model whose calls have no cost.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct UnpricedModel {
    /// The provider.
    pub provider: String,
    /// The model; `_OTHER` stands for all whose names were not admitted.
    pub model: String,
    /// How many calls.
    pub requests: u64,
}

/// What one provider did. Of each attempt, that is, of each call.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct ProviderPerformance {
    /// The name.
    pub provider_name: String,
    /// How many attempts.
    pub total_requests: u64,
    /// How many succeeded.
    pub successful_requests: u64,
    /// How many failed, for whatever reason.
    pub failed_requests: u64,
    /// How many of these took too long.
    pub timeout_requests: u64,
    /// How many of these were too many.
    pub rate_limited_requests: u64,
    /// How many of 100 succeeded.
    pub success_rate_percent: Option<f64>,
    /// How many of 100 succeeded, those left out whose failure says nothing of the provider: by the
    /// fault of `caller` or `policy`, such as a malformed, forbidden, refused or cancelled request.
    pub provider_success_rate_percent: Option<f64>,
    /// The average duration, in milliseconds.
    pub average_response_time_ms: Option<f64>,
    /// Half took at most so long, in milliseconds.
    pub p50_response_time_ms: Option<f64>,
    /// 95 % took at most so long, in milliseconds.
    pub p95_response_time_ms: Option<f64>,
    /// 99 % took at most so long, in milliseconds.
    pub p99_response_time_ms: Option<f64>,
    /// 99.9 % took at most so long, in milliseconds.
    pub p99_9_response_time_ms: Option<f64>,
    /// How long first tokens took.
    #[serde(flatten)]
    pub first_token: FirstTokenStats,
    /// How long further chunks of streamed answers took.
    #[serde(flatten)]
    pub output_chunk: OutputChunkStats,
    /// How many tokens per second came from its models, from the first chunk of an answer to its
    /// end, over all streamed answers that told their tokens and did not fail; `null` without one.
    pub output_tokens_per_second: Option<f64>,
    /// Tokens that went to its models.
    pub input_tokens: u64,
    /// Tokens that came from its models.
    pub output_tokens: u64,
    /// The average cost of an attempt, in USD.
    pub cost_per_request: Option<f64>,
    /// The cost of all attempts, in USD.
    pub total_cost: f64,
    /// Whether at least 80 % of the attempts of the last five minutes succeeded, the caller's
    /// faults left out; if there were none, whether the last attempt before these did. `null`
    /// before the first attempt. The window makes no difference.
    pub healthy: Option<bool>,
    /// How it stands: as the best of its models. The window makes no difference.
    pub health_state: HealthState,
    /// The end of the last collection with a success, in Unix seconds. The window makes no
    /// difference.
    pub last_success: Option<f64>,
    /// The end of the last collection with a failure, in Unix seconds. The window makes no
    /// difference.
    pub last_failure: Option<f64>,
    /// How many attempts failed, by whose fault it was.
    pub failed_requests_by_fault: Faults,
    /// How many attempts failed, by `error.type`.
    pub error_type_counts: BTreeMap<String, u64>,
    /// What it last said of its quotas, by what they are of: `requests`, `tokens`, `input_tokens`,
    /// `output_tokens`. The window makes no difference.
    pub rate_limits: BTreeMap<String, RateLimit>,
    /// By model.
    pub model_stats: BTreeMap<String, ModelPerformance>,
}

/// What one model of a provider did.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct ModelPerformance {
    /// The attempts.
    #[serde(flatten)]
    pub stats: PerformanceStats,
    /// How it stands. The window makes no difference.
    pub health_state: HealthState,
    /// Why.
    pub health_reason: HealthReason,
    /// How long first tokens took.
    #[serde(flatten)]
    pub first_token: FirstTokenStats,
    /// How long further chunks of streamed answers took.
    #[serde(flatten)]
    pub output_chunk: OutputChunkStats,
    /// How many tokens per second came from the model, from the first chunk of an answer to its
    /// end, over all streamed answers that told their tokens and did not fail; `null` without one.
    pub output_tokens_per_second: Option<f64>,
    /// Tokens that went to the model.
    pub input_tokens: u64,
    /// Tokens that came from the model.
    pub output_tokens: u64,
    /// Those of `input_tokens` that were read from a cache of the provider.
    pub cache_read_tokens: u64,
    /// Those of `input_tokens` that were written to a cache of the provider.
    pub cache_write_tokens: u64,
    /// Those of `output_tokens` that are reasoning.
    pub reasoning_tokens: u64,
    /// The cost of all attempts, in USD.
    pub total_cost: f64,
    /// The average cost of an attempt, in USD.
    pub cost_per_request: Option<f64>,
}

/// All providers of an answer together.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct ProvidersSummary {
    /// How many attempts.
    pub total_requests: u64,
    /// How many succeeded.
    pub successful_requests: u64,
    /// How many failed.
    pub failed_requests: u64,
    /// How many of 100 succeeded.
    pub success_rate_percent: Option<f64>,
    /// The cost of all attempts, in USD.
    pub total_estimated_cost: f64,
    /// The average cost of an attempt, in USD.
    pub average_cost_per_request: Option<f64>,
}

/// What the providers did in `window`, or only the one of that name.
pub(crate) fn providers(
    snapshot: &Snapshot,
    window: Window,
    only: Option<&str>,
) -> Result<ProvidersView, ViewError> {
    let wanted = |key: &SeriesKey| only.is_none_or(|only| provider_of(key) == only);
    let reading = Reading::new(snapshot, window, &METRICS, wanted)?;
    let mut error = ErrorBound::default();
    let (providers, summary) = of_reading(&reading, only, &mut error)?;
    Ok(ProvidersView {
        coverage: reading.coverage(error),
        providers_count: providers.len(),
        providers,
        summary,
        prices: snapshot.prices.as_deref().cloned(),
        unpriced_models: unpriced(&reading, only),
    })
}

/// What they did, by name; the largest error of a percentile goes to `error`.
pub(super) fn of_reading(
    reading: &Reading<'_>,
    only: Option<&str>,
    error: &mut ErrorBound,
) -> Result<(BTreeMap<String, ProviderPerformance>, ProvidersSummary), ViewError> {
    let mut builders: BTreeMap<&str, ProviderBuilder<'_>> = BTreeMap::new();
    let mut shown: BTreeSet<&str> = BTreeSet::new();
    for (provider, models) in &reading.snapshot.configured.providers {
        let builder = builders.entry(provider).or_default();
        shown.insert(provider);
        for model in models {
            builder.models.entry(model).or_default();
        }
    }
    for series in reading.of(&METRICS) {
        let provider = provider_of(series.key);
        builders.entry(provider).or_default().add(series);
        if series.aggregate.is_some() {
            shown.insert(provider);
        }
    }
    if let Some(only) = only {
        // Known, if only from before the window.
        if !builders.contains_key(only) {
            return Err(ViewError::UnknownProvider);
        }
        builders.retain(|provider, _| *provider == only);
    } else {
        builders.retain(|provider, _| shown.contains(provider));
    }

    let mut summary = ProvidersSummary::default();
    let mut cost = 0_i128;
    let mut providers = BTreeMap::new();
    for (name, builder) in builders {
        let mut provider = builder.finish(name, reading.last_minute_seconds, error);
        provider.rate_limits = rate_limit::of_provider(reading.snapshot, name);
        provider.judge(&reading.snapshot.board);
        cost = cost.saturating_add(builder.cost);
        summary.total_requests += provider.total_requests;
        summary.successful_requests += provider.successful_requests;
        summary.failed_requests += provider.failed_requests;
        providers.insert(name.to_owned(), provider);
    }
    summary.success_rate_percent = percent(summary.successful_requests, summary.total_requests);
    summary.total_estimated_cost = usd(cost);
    summary.average_cost_per_request = average(usd(cost), summary.total_requests);
    Ok((providers, summary))
}

impl ProviderPerformance {
    /// Says how it and its models stand.
    fn judge(&mut self, board: &Board) {
        let provider = &self.provider_name;
        let own = board.all().iter().filter(|s| *s.provider == **provider);
        for standing in own {
            if let Some(model) = self.model_stats.get_mut(&*standing.model) {
                model.health_state = standing.state;
                model.health_reason = standing.reason;
            }
            // Of what is not known it says nothing.
            self.health_state = match (self.health_state, standing.state) {
                (state, HealthState::Unknown) | (HealthState::Unknown, state) => state,
                (a, b) => a.min(b),
            };
        }
    }
}

/// The models without a price.
fn unpriced(reading: &Reading<'_>, only: Option<&str>) -> Vec<UnpricedModel> {
    let series = reading.of(&[names::UNPRICED]);
    let model = |series: &SeriesReading<'_>| UnpricedModel {
        provider: provider_of(series.key).to_owned(),
        model: series.label(names::GEN_AI_REQUEST_MODEL).to_owned(),
        requests: series.sum().round() as u64,
    };
    let mut models: Vec<UnpricedModel> = series.map(model).collect();
    models.retain(|model| model.requests > 0 && only.is_none_or(|only| model.provider == only));
    models.sort_by(|a, b| {
        let by_count = b.requests.cmp(&a.requests);
        by_count.then_with(|| (&a.provider, &a.model).cmp(&(&b.provider, &b.model)))
    });
    models
}

/// The provider of a series, under either name of the attribute.
pub(crate) fn provider_of(key: &SeriesKey) -> &str {
    let labels = &key.labels;
    let name = labels.get(names::GEN_AI_PROVIDER_NAME);
    name.or_else(|| labels.get(names::GEN_AI_SYSTEM))
        .unwrap_or(names::OTHER)
}

#[derive(Debug, Default)]
struct ProviderBuilder<'r> {
    attempts: StatsBuilder,
    first_token: Durations,
    output_chunk: Durations,
    output: OutputRate,
    cost: i128,
    timeouts: u64,
    rate_limited: u64,
    faults: Faults,
    error_types: BTreeMap<String, u64>,
    health: Health,
    models: BTreeMap<&'r str, ModelBuilder>,
}

#[derive(Debug, Default)]
struct ModelBuilder {
    attempts: StatsBuilder,
    first_token: Durations,
    output_chunk: Durations,
    output: OutputRate,
    input_tokens: f64,
    output_tokens: f64,
    cache_read_tokens: f64,
    cache_write_tokens: f64,
    reasoning_tokens: f64,
    cost: i128,
}

/// How fast streamed answers came.
#[derive(Debug, Default)]
struct OutputRate {
    tokens: f64,
    seconds: f64,
}

impl OutputRate {
    fn per_second(&self) -> Option<f64> {
        (self.seconds > 0.0).then(|| self.tokens / self.seconds)
    }
}

impl<'r> ProviderBuilder<'r> {
    fn add(&mut self, series: &'r SeriesReading<'_>) {
        let metric = &*series.key.metric;
        if metric == names::GEN_AI_OPERATION_DURATION {
            self.health.add(series);
        }
        // A model that did nothing in the window is not shown; its provider's health is.
        let Some(aggregate) = &series.aggregate else {
            return;
        };
        let model = self
            .models
            .entry(series.label(names::GEN_AI_REQUEST_MODEL))
            .or_default();
        match metric {
            names::GEN_AI_OPERATION_DURATION => {
                let error_type = series.error_type();
                self.attempts.add(series, error_type.is_some());
                model.attempts.add(series, error_type.is_some());
                if let Some(error_type) = error_type {
                    self.add_failures(error_type, series.count());
                }
            }
            names::GEN_AI_TIME_TO_FIRST_CHUNK => {
                self.first_token.add(series);
                model.first_token.add(series);
            }
            names::GEN_AI_TIME_PER_OUTPUT_CHUNK => {
                self.output_chunk.add(series);
                model.output_chunk.add(series);
            }
            names::GEN_AI_TOKEN_USAGE => match series.label(names::GEN_AI_TOKEN_TYPE) {
                names::TOKEN_INPUT => model.input_tokens += aggregate.sum(),
                names::TOKEN_OUTPUT => model.output_tokens += aggregate.sum(),
                _ => {}
            },
            names::TOKEN_DETAILS => match series.label(names::TOKEN_DETAIL) {
                "cache_read" => model.cache_read_tokens += aggregate.sum(),
                "cache_write" => model.cache_write_tokens += aggregate.sum(),
                "reasoning" => model.reasoning_tokens += aggregate.sum(),
                _ => {}
            },
            names::STREAMED_TOKENS => {
                self.output.tokens += aggregate.sum();
                model.output.tokens += aggregate.sum();
            }
            names::STREAMED_TIME => {
                self.output.seconds += aggregate.sum();
                model.output.seconds += aggregate.sum();
            }
            names::COST => {
                if let Aggregate::Money(nano) = aggregate {
                    self.cost = self.cost.saturating_add(*nano);
                    model.cost = model.cost.saturating_add(*nano);
                }
            }
            _ => {}
        }
    }

    fn add_failures(&mut self, error_type: &str, count: u64) {
        *self.error_types.entry(error_type.to_owned()).or_default() += count;
        if error_type::is_timeout(error_type) {
            self.timeouts += count;
        }
        if error_type::is_rate_limited(error_type) {
            self.rate_limited += count;
        }
        self.faults.add(error_type, count);
    }

    fn finish(
        &self,
        name: &str,
        last_minute_seconds: f64,
        error: &mut ErrorBound,
    ) -> ProviderPerformance {
        let stats = self.attempts.finish(last_minute_seconds, error);
        let judged = stats
            .total_operations
            .saturating_sub(self.faults.of_caller());
        let models = self.models.iter().map(|(model, builder)| {
            (
                model.to_string(),
                builder.finish(last_minute_seconds, error),
            )
        });
        let model_stats: BTreeMap<String, ModelPerformance> = models.collect();
        ProviderPerformance {
            provider_name: name.to_owned(),
            total_requests: stats.total_operations,
            successful_requests: stats.successful_operations,
            failed_requests: stats.failed_operations,
            timeout_requests: self.timeouts,
            rate_limited_requests: self.rate_limited,
            success_rate_percent: stats.success_rate_percent,
            provider_success_rate_percent: percent(stats.successful_operations, judged),
            average_response_time_ms: stats.avg_duration_ms,
            p50_response_time_ms: stats.p50_duration_ms,
            p95_response_time_ms: stats.p95_duration_ms,
            p99_response_time_ms: stats.p99_duration_ms,
            p99_9_response_time_ms: stats.p99_9_duration_ms,
            first_token: self.first_token.first_token(error),
            output_chunk: self.output_chunk.output_chunk(error),
            output_tokens_per_second: self.output.per_second(),
            input_tokens: model_stats.values().map(|model| model.input_tokens).sum(),
            output_tokens: model_stats.values().map(|model| model.output_tokens).sum(),
            cost_per_request: average(usd(self.cost), stats.total_operations),
            total_cost: usd(self.cost),
            healthy: self.health.is_good(),
            health_state: HealthState::Unknown,
            last_success: self.health.last_success.map(Timestamp::as_unix_seconds),
            last_failure: self.health.last_failure.map(Timestamp::as_unix_seconds),
            failed_requests_by_fault: self.faults,
            error_type_counts: self.error_types.clone(),
            rate_limits: BTreeMap::new(),
            model_stats,
        }
    }
}

impl ModelBuilder {
    fn finish(&self, last_minute_seconds: f64, error: &mut ErrorBound) -> ModelPerformance {
        ModelPerformance {
            stats: self.attempts.finish(last_minute_seconds, error),
            first_token: self.first_token.first_token(error),
            output_chunk: self.output_chunk.output_chunk(error),
            output_tokens_per_second: self.output.per_second(),
            health_state: HealthState::Unknown,
            health_reason: HealthReason::TooFewSamples,
            input_tokens: self.input_tokens.round() as u64,
            output_tokens: self.output_tokens.round() as u64,
            cache_read_tokens: self.cache_read_tokens.round() as u64,
            cache_write_tokens: self.cache_write_tokens.round() as u64,
            reasoning_tokens: self.reasoning_tokens.round() as u64,
            total_cost: usd(self.cost),
            cost_per_request: average(usd(self.cost), self.attempts.count()),
        }
    }
}

/// Whether a provider answers, and when it last did.
#[derive(Debug, Default)]
struct Health {
    recent_successes: u64,
    recent_failures: u64,
    last_success: Option<Timestamp>,
    last_failure: Option<Timestamp>,
    /// The last one that was not the caller's fault.
    last_own_failure: Option<Timestamp>,
}

impl Health {
    fn add(&mut self, series: &SeriesReading<'_>) {
        let at = Some(series.last_active);
        match series.error_type() {
            None => {
                self.recent_successes += series.health;
                self.last_success = self.last_success.max(at);
            }
            Some(error_type) => {
                self.last_failure = self.last_failure.max(at);
                if !error_type::domain(error_type).is_callers() {
                    self.recent_failures += series.health;
                    self.last_own_failure = self.last_own_failure.max(at);
                }
            }
        }
    }

    fn is_good(&self) -> Option<bool> {
        let recent = self.recent_successes + self.recent_failures;
        match percent(self.recent_successes, recent) {
            Some(rate) => Some(rate >= HEALTHY_PERCENT),
            None if self.last_success.is_none() && self.last_failure.is_none() => None,
            None => Some(self.last_success >= self.last_own_failure),
        }
    }
}
