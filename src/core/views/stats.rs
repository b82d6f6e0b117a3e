//! The duration block, which all views are made of.

use schemars::JsonSchema;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::core::aggregate::Aggregate;
use crate::core::views::reading::SeriesReading;
use crate::core::views::{average, percent};

/// How often something was done, how often it failed, and how long it took.
///
/// Durations are in milliseconds, of failures as well. Without samples counts are 0, rates and
/// durations `null`. Percentiles are nearest-rank ones, as exact as the `quantile_error_percent`
/// of the answer says.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct PerformanceStats {
    /// How many, failures included.
    pub total_operations: u64,
    /// How many succeeded.
    pub successful_operations: u64,
    /// How many failed.
    pub failed_operations: u64,
    /// How many of 100 succeeded.
    pub success_rate_percent: Option<f64>,
    /// The average duration.
    pub avg_duration_ms: Option<f64>,
    /// The shortest duration.
    pub min_duration_ms: Option<f64>,
    /// The longest duration.
    pub max_duration_ms: Option<f64>,
    /// Half took at most so long.
    pub p50_duration_ms: Option<f64>,
    /// 95 % took at most so long.
    pub p95_duration_ms: Option<f64>,
    /// 99 % took at most so long.
    pub p99_duration_ms: Option<f64>,
    /// 99.9 % took at most so long.
    pub p99_9_duration_ms: Option<f64>,
    /// How many per second, over the last minute.
    pub operations_per_second: Option<f64>,
    /// How many failures per second, over the last minute.
    pub errors_per_second: Option<f64>,
    /// The end of the last collection that brought a sample, in Unix seconds.
    pub last_update: Option<f64>,
}

/// How long the first token, or chunk, of an answer took, in milliseconds; `null` without samples.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct FirstTokenStats {
    /// The average.
    pub avg_time_to_first_token_ms: Option<f64>,
    /// Half took at most so long.
    pub p50_time_to_first_token_ms: Option<f64>,
    /// 95 % took at most so long.
    pub p95_time_to_first_token_ms: Option<f64>,
    /// 99 % took at most so long.
    pub p99_time_to_first_token_ms: Option<f64>,
}

/// How long each chunk of output of a streamed answer took after the first, in milliseconds: the
/// time from the first chunk to the end of the answer, divided by how many came after the first.
/// `null` without samples, which are answers of two chunks or more.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct OutputChunkStats {
    /// The average over the answers.
    pub avg_time_per_output_chunk_ms: Option<f64>,
    /// In half of the answers at most so long.
    pub p50_time_per_output_chunk_ms: Option<f64>,
    /// In 95 % of the answers at most so long.
    pub p95_time_per_output_chunk_ms: Option<f64>,
    /// In 99 % of the answers at most so long.
    pub p99_time_per_output_chunk_ms: Option<f64>,
}

/// The largest relative error of several percentiles; none so far by default.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ErrorBound(Option<f64>);

impl ErrorBound {
    /// That of both.
    pub(crate) fn include(&mut self, other: Self) {
        self.0 = self.0.into_iter().chain(other.0).reduce(f64::max);
    }

    /// That of one more percentile, in percent.
    pub(crate) fn include_percent(&mut self, percent: f64) {
        self.include(Self(Some(percent)));
    }

    /// None without percentiles, or without a bound.
    pub(crate) fn percent(self) -> Option<f64> {
        self.0.filter(|percent| percent.is_finite())
    }
}

/// Adds up durations.
#[derive(Debug, Clone, Default)]
pub(crate) struct Durations {
    aggregate: Option<Aggregate>,
    unit_ms: f64,
}

impl Durations {
    /// Adds all of `series`.
    pub(crate) fn add(&mut self, series: &SeriesReading<'_>) {
        self.unit_ms = series.unit_ms;
        match (&mut self.aggregate, &series.aggregate) {
            (Some(own), Some(other)) => own.merge(other),
            (own, other) => {
                if let Some(other) = other {
                    *own = Some(other.clone());
                }
            }
        }
    }

    /// All of them.
    pub(crate) const fn aggregate(&self) -> Option<&Aggregate> {
        self.aggregate.as_ref()
    }

    pub(crate) fn count(&self) -> u64 {
        self.aggregate.as_ref().map_or(0, Aggregate::count)
    }

    pub(crate) fn average_ms(&self) -> Option<f64> {
        let aggregate = self.aggregate.as_ref()?;
        average(aggregate.sum() * self.unit_ms, aggregate.count())
    }

    fn min_ms(&self) -> Option<f64> {
        Some(self.aggregate.as_ref()?.min()? * self.unit_ms)
    }

    fn max_ms(&self) -> Option<f64> {
        Some(self.aggregate.as_ref()?.max()? * self.unit_ms)
    }

    /// A percentile, whose error goes to `error`.
    pub(crate) fn quantile_ms(&self, q: f64, error: &mut ErrorBound) -> Option<f64> {
        let (value, percent) = self.aggregate.as_ref()?.quantile(q)?;
        error.include_percent(percent);
        Some(value * self.unit_ms)
    }

    /// What they say of first tokens.
    pub(crate) fn first_token(&self, error: &mut ErrorBound) -> FirstTokenStats {
        FirstTokenStats {
            avg_time_to_first_token_ms: self.average_ms(),
            p50_time_to_first_token_ms: self.quantile_ms(0.5, error),
            p95_time_to_first_token_ms: self.quantile_ms(0.95, error),
            p99_time_to_first_token_ms: self.quantile_ms(0.99, error),
        }
    }

    /// What they say of chunks after the first.
    pub(crate) fn output_chunk(&self, error: &mut ErrorBound) -> OutputChunkStats {
        OutputChunkStats {
            avg_time_per_output_chunk_ms: self.average_ms(),
            p50_time_per_output_chunk_ms: self.quantile_ms(0.5, error),
            p95_time_per_output_chunk_ms: self.quantile_ms(0.95, error),
            p99_time_per_output_chunk_ms: self.quantile_ms(0.99, error),
        }
    }
}

/// Adds up what makes a [`PerformanceStats`].
#[derive(Debug, Clone, Default)]
pub(crate) struct StatsBuilder {
    durations: Durations,
    failed: u64,
    last_minute: u64,
    last_minute_failed: u64,
    last_active: Timestamp,
}

impl StatsBuilder {
    /// Adds all of `series`, whose samples all failed or all succeeded.
    pub(crate) fn add(&mut self, series: &SeriesReading<'_>, failed: bool) {
        if series.aggregate.is_none() {
            return;
        }
        self.durations.add(series);
        self.last_minute = self.last_minute.saturating_add(series.last_minute);
        self.last_active = self.last_active.max(series.last_active);
        if failed {
            self.failed = self.failed.saturating_add(series.count());
            self.last_minute_failed = self.last_minute_failed.saturating_add(series.last_minute);
        }
    }

    /// How many samples.
    pub(crate) fn count(&self) -> u64 {
        self.durations.count()
    }

    /// The end of the last collection that brought a sample, in Unix seconds.
    pub(crate) fn last_update(&self) -> Option<f64> {
        (self.count() > 0).then(|| self.last_active.as_unix_seconds())
    }

    /// The block. The last minute covers `last_minute_seconds`.
    pub(crate) fn finish(
        &self,
        last_minute_seconds: f64,
        error: &mut ErrorBound,
    ) -> PerformanceStats {
        let durations = &self.durations;
        let total = self.count();
        let successful = total.saturating_sub(self.failed);
        let rated = total > 0 && last_minute_seconds > 0.0;
        let per_second = |count: u64| rated.then(|| count as f64 / last_minute_seconds);
        PerformanceStats {
            total_operations: total,
            successful_operations: successful,
            failed_operations: self.failed,
            success_rate_percent: percent(successful, total),
            avg_duration_ms: durations.average_ms(),
            min_duration_ms: durations.min_ms(),
            max_duration_ms: durations.max_ms(),
            p50_duration_ms: durations.quantile_ms(0.5, error),
            p95_duration_ms: durations.quantile_ms(0.95, error),
            p99_duration_ms: durations.quantile_ms(0.99, error),
            p99_9_duration_ms: durations.quantile_ms(0.999, error),
            operations_per_second: per_second(self.last_minute),
            errors_per_second: per_second(self.last_minute_failed),
            last_update: self.last_update(),
        }
    }
}
