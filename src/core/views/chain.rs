//! What came of the attempts of operations.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::core::aggregate::{Aggregate, usd};
use crate::core::views::average;
use crate::core::views::reading::SeriesReading;
use crate::core::views::stats::{Durations, ErrorBound};
use crate::names;

pub(super) const METRICS: [&str; 3] = [
    names::OPERATIONS,
    names::OPERATION_OVERHEAD,
    names::OPERATION_COST,
];

/// What came of the attempts of operations: of the calls to providers that each took.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct ChainStats {
    /// How many attempts an operation took, on average over those that took any; `null` without
    /// such. More than ten count as ten.
    pub attempts_per_operation: Option<f64>,
    /// How many operations, by how many attempts each took: `0` to `9`, and `10+`.
    pub operations_by_attempts: BTreeMap<String, u64>,
    /// How many operations failed since nobody could answer: every attempt failed, the last one by
    /// a fault that is not the caller's.
    pub exhausted_operations: u64,
    /// The cost of all operations, in USD: that of their attempts, or of an operation without
    /// attempts what was told as its own. Attempts that belong to no operation are not in it, nor
    /// those that ended before the endpoint was told.
    pub total_cost: f64,
    /// The average cost of an operation, in USD, also over those that cost nothing; `null` without
    /// one.
    pub cost_per_operation: Option<f64>,
    /// What the gateway itself took of an operation, in milliseconds, on average: its duration
    /// without its attempts and the time that it waited on purpose. Of operations that name their
    /// provider themselves, and have no attempt below, nothing tells these apart.
    pub avg_gateway_overhead_ms: Option<f64>,
    /// The gateway itself took at most so long of half of the operations, in milliseconds.
    pub p50_gateway_overhead_ms: Option<f64>,
    /// The gateway itself took at most so long of 95 % of the operations, in milliseconds.
    pub p95_gateway_overhead_ms: Option<f64>,
    /// The gateway itself took at most so long of 99 % of the operations, in milliseconds.
    pub p99_gateway_overhead_ms: Option<f64>,
}

/// Adds up what makes a [`ChainStats`].
#[derive(Debug, Default)]
pub(super) struct ChainBuilder {
    by_attempts: BTreeMap<String, u64>,
    attempts: u64,
    /// Those that took an attempt.
    operations: u64,
    all: u64,
    cost: i128,
    exhausted: u64,
    overhead: Durations,
}

impl ChainBuilder {
    /// Adds `series`, which is one of [`METRICS`].
    pub(super) fn add(&mut self, series: &SeriesReading<'_>) {
        match &*series.key.metric {
            names::OPERATION_OVERHEAD => self.overhead.add(series),
            names::OPERATION_COST => {
                if let Some(Aggregate::Money(nanos)) = &series.aggregate {
                    self.cost = self.cost.saturating_add(*nanos);
                }
            }
            _ => self.add_operations(series),
        }
    }

    fn add_operations(&mut self, series: &SeriesReading<'_>) {
        let attempts = series.label(names::OPERATION_ATTEMPTS);
        let count = series.sum().round() as u64;
        *self.by_attempts.entry(attempts.to_owned()).or_default() += count;
        self.all = self.all.saturating_add(count);
        let attempts: u64 = attempts.trim_end_matches('+').parse().unwrap_or(0);
        if attempts > 0 {
            self.operations = self.operations.saturating_add(count);
            let more = attempts.saturating_mul(count);
            self.attempts = self.attempts.saturating_add(more);
        }
        if series.label(names::OPERATION_OUTCOME) == names::EXHAUSTED {
            self.exhausted = self.exhausted.saturating_add(count);
        }
    }

    pub(super) fn finish(&self, error: &mut ErrorBound) -> ChainStats {
        let overhead = &self.overhead;
        ChainStats {
            attempts_per_operation: average(self.attempts as f64, self.operations),
            operations_by_attempts: self.by_attempts.clone(),
            exhausted_operations: self.exhausted,
            total_cost: usd(self.cost),
            cost_per_operation: average(usd(self.cost), self.all),
            avg_gateway_overhead_ms: overhead.average_ms(),
            p50_gateway_overhead_ms: overhead.quantile_ms(0.5, error),
            p95_gateway_overhead_ms: overhead.quantile_ms(0.95, error),
            p99_gateway_overhead_ms: overhead.quantile_ms(0.99, error),
        }
    }
}
