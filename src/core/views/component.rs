//! What the gateway's components did.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::core::snapshot::Snapshot;
use crate::core::views::reading::Reading;
use crate::core::views::stats::{ErrorBound, PerformanceStats, StatsBuilder};
use crate::core::views::{Coverage, ViewError};
use crate::core::window::Window;
use crate::names;

pub(super) const METRICS: [&str; 2] = [names::COMPONENT_DURATION, names::TIMER_DURATION];

/// All components: the answer of `/performance/components`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct ComponentsView {
    /// What the answer is about.
    #[serde(flatten)]
    pub coverage: Coverage,
    /// How many `components` there are.
    pub components_count: usize,
    /// By name: those that worked in the window.
    pub components: BTreeMap<String, ComponentPerformance>,
    /// By name: the timers that observed something in the window.
    pub timers: BTreeMap<String, PerformanceStats>,
}

/// What one component did.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct ComponentPerformance {
    /// The name.
    pub component_name: String,
    /// All of its operations together.
    pub stats: PerformanceStats,
    /// Each of its operations.
    pub operations: BTreeMap<String, PerformanceStats>,
}

/// What the components did in `window`.
pub(crate) fn components(snapshot: &Snapshot, window: Window) -> Result<ComponentsView, ViewError> {
    let reading = Reading::new(snapshot, window, &METRICS, |_| true)?;
    let mut error = ErrorBound::default();
    let components = of_reading(&reading, &mut error);
    let timers = timers_of_reading(&reading, &mut error);
    Ok(ComponentsView {
        coverage: reading.coverage(error),
        components_count: components.len(),
        components,
        timers,
    })
}

/// What the timers observed, by name; the largest error of a percentile goes to `error`.
pub(super) fn timers_of_reading(
    reading: &Reading<'_>,
    error: &mut ErrorBound,
) -> BTreeMap<String, PerformanceStats> {
    let mut builders: BTreeMap<&str, StatsBuilder> = BTreeMap::new();
    for series in reading
        .of(&[names::TIMER_DURATION])
        .filter(|series| series.aggregate.is_some())
    {
        let builder = builders.entry(series.label(names::TIMER)).or_default();
        builder.add(series, false);
    }
    let seconds = reading.last_minute_seconds;
    builders
        .into_iter()
        .map(|(name, builder)| (name.to_owned(), builder.finish(seconds, error)))
        .collect()
}

/// What they did, by name; the largest error of a percentile goes to `error`.
pub(super) fn of_reading(
    reading: &Reading<'_>,
    error: &mut ErrorBound,
) -> BTreeMap<String, ComponentPerformance> {
    type Builder<'r> = (StatsBuilder, BTreeMap<&'r str, StatsBuilder>);
    let mut builders: BTreeMap<&str, Builder<'_>> = BTreeMap::new();
    for series in reading
        .of(&[names::COMPONENT_DURATION])
        .filter(|series| series.aggregate.is_some())
    {
        let failed = series.error_type().is_some();
        let (all, operations) = builders.entry(series.label(names::COMPONENT)).or_default();
        all.add(series, failed);
        let operation = series.label(names::OPERATION);
        operations.entry(operation).or_default().add(series, failed);
    }
    let seconds = reading.last_minute_seconds;
    builders
        .into_iter()
        .map(|(name, (all, operations))| {
            let stats = all.finish(seconds, error);
            let operations = operations
                .into_iter()
                .map(|(name, builder)| (name.to_owned(), builder.finish(seconds, error)))
                .collect();
            let component = ComponentPerformance {
                component_name: name.to_owned(),
                stats,
                operations,
            };
            (name.to_owned(), component)
        })
        .collect()
}
