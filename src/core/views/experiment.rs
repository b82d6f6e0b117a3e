//! What the variants of each experiment did, side by side.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::core::series::SeriesKey;
use crate::core::snapshot::Snapshot;
use crate::core::views::comparison::{ALPHA, MIN_SAMPLES, Sample, VariantComparison, compare};
use crate::core::views::reading::{Reading, SeriesReading, label};
use crate::core::views::stats::{Durations, ErrorBound, PerformanceStats, StatsBuilder};
use crate::core::views::{Coverage, ViewError};
use crate::core::window::Window;
use crate::names;

const METRICS: [&str; 1] = [names::EXPERIMENT_DURATION];

/// Names of the variant that the others are compared with, the first choice first.
const CONTROLS: [&str; 3] = ["control", "baseline", "a"];

/// All experiments: the answer of `/performance/experiments`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct ExperimentsView {
    /// What the answer is about.
    #[serde(flatten)]
    pub coverage: Coverage,
    /// How often, at the most, one of the comparisons of an outcome is called significant although
    /// there is no difference: 0.05. This holds for one look, at a time chosen beforehand: who looks
    /// again and again until something is significant finds it more often by chance.
    pub alpha: f64,
    /// With fewer samples of either variant nothing is called significant or not: 20.
    pub minimum_samples: u64,
    /// How many `experiments` there are.
    pub experiments_count: usize,
    /// By name: those of which a variant was tried in the window.
    pub experiments: BTreeMap<String, ExperimentPerformance>,
}

/// What the variants of one experiment did.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct ExperimentPerformance {
    /// The name.
    pub experiment_name: String,
    /// The variant that the others are compared with: the one named `control`, `baseline` or `a`,
    /// in this order and in whatever case; else the first by name.
    pub control: String,
    /// By name.
    pub variants: BTreeMap<String, VariantPerformance>,
    /// Each other variant against `control`, by name.
    pub comparisons: Vec<VariantComparison>,
}

/// What one variant did.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct VariantPerformance {
    /// Its tries.
    #[serde(flatten)]
    pub stats: PerformanceStats,
    /// How many failed, by `error.type`.
    pub error_type_counts: BTreeMap<String, u64>,
}

/// What the variants did in `window`, of all experiments or only the one of that name.
pub(crate) fn experiments(
    snapshot: &Snapshot,
    window: Window,
    only: Option<&str>,
) -> Result<ExperimentsView, ViewError> {
    let wanted = |key: &SeriesKey| only.is_none_or(|only| label(key, names::EXPERIMENT) == only);
    let reading = Reading::new(snapshot, window, &METRICS, wanted)?;
    let mut builders: BTreeMap<&str, BTreeMap<&str, VariantBuilder>> = BTreeMap::new();
    let mut is_known = only.is_none();
    for series in reading.of(&METRICS) {
        is_known = true;
        if series.aggregate.is_some() {
            let variants = builders.entry(series.label(names::EXPERIMENT)).or_default();
            let variant = variants.entry(series.label(names::VARIANT)).or_default();
            variant.add(series);
        }
    }
    if !is_known {
        return Err(ViewError::UnknownExperiment);
    }
    let mut error = ErrorBound::default();
    let experiments: BTreeMap<String, ExperimentPerformance> = builders
        .into_iter()
        .map(|(name, variants)| {
            let experiment = finish(name, &variants, &reading, &mut error);
            (name.to_owned(), experiment)
        })
        .collect();
    Ok(ExperimentsView {
        coverage: reading.coverage(error),
        alpha: ALPHA,
        minimum_samples: MIN_SAMPLES,
        experiments_count: experiments.len(),
        experiments,
    })
}

fn finish(
    name: &str,
    variants: &BTreeMap<&str, VariantBuilder>,
    reading: &Reading<'_>,
    error: &mut ErrorBound,
) -> ExperimentPerformance {
    let control = control_of(variants);
    let others: Vec<Sample<'_>> = variants
        .iter()
        .filter(|(variant, _)| **variant != control)
        .map(|(variant, builder)| builder.sample(variant))
        .collect();
    let comparisons = variants
        .get(control)
        .map(|builder| compare(&builder.sample(control), &others, error))
        .unwrap_or_default();
    let seconds = reading.last_minute_seconds;
    ExperimentPerformance {
        experiment_name: name.to_owned(),
        control: control.to_owned(),
        variants: variants
            .iter()
            .map(|(variant, builder)| (variant.to_string(), builder.finish(seconds, error)))
            .collect(),
        comparisons,
    }
}

fn control_of<'v>(variants: &BTreeMap<&'v str, VariantBuilder>) -> &'v str {
    let rank = |variant: &str| {
        let named = |control: &&str| control.eq_ignore_ascii_case(variant);
        CONTROLS.iter().position(named).unwrap_or(CONTROLS.len())
    };
    let first = variants.keys().min_by_key(|variant| rank(variant));
    first.copied().unwrap_or_default()
}

#[derive(Debug, Default)]
struct VariantBuilder {
    tries: StatsBuilder,
    successes: Durations,
    error_types: BTreeMap<String, u64>,
}

impl VariantBuilder {
    fn add(&mut self, series: &SeriesReading<'_>) {
        let error_type = series.error_type();
        self.tries.add(series, error_type.is_some());
        match error_type {
            None => self.successes.add(series),
            Some(error) => {
                *self.error_types.entry(error.to_owned()).or_default() += series.count();
            }
        }
    }

    fn sample<'s>(&'s self, name: &'s str) -> Sample<'s> {
        Sample {
            name,
            total: self.tries.count(),
            successes: &self.successes,
        }
    }

    fn finish(&self, last_minute_seconds: f64, error: &mut ErrorBound) -> VariantPerformance {
        VariantPerformance {
            stats: self.tries.finish(last_minute_seconds, error),
            error_type_counts: self.error_types.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
