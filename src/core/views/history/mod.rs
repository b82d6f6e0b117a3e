//! One figure over time, at any step, from the slots that are kept.

#[cfg(feature = "server")]
mod known;
mod metric;
mod scope;
mod tally;

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

#[cfg(feature = "server")]
pub(crate) use known::known_scopes;
pub use metric::HistoryMetric;
pub use scope::HistoryScope;

use crate::clock::saturating_nanos;
use crate::core::slot::Slot;
use crate::core::snapshot::Snapshot;
use crate::core::views::reading::{coverage, slots_of};
use crate::core::views::stats::ErrorBound;
use crate::core::views::{Coverage, ViewError};
use crate::core::window::{History, Window};
use tally::Plan;

/// The most points that may be asked for.
const MAX_POINTS: u32 = 2_000;

/// How many points there are at most, unless a step is given.
const USUAL_POINTS: u32 = 120;

/// What the window is unless it is given, or the retention if that is shorter.
const USUAL_WINDOW: Duration = Duration::from_secs(3_600);

/// The steps to choose from unless one is given, in seconds.
const USUAL_STEPS: [u64; 16] = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600,
];

/// What is asked for over time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HistoryQuery {
    metric: HistoryMetric,
    pub(crate) scope: HistoryScope,
    window: Option<Duration>,
    step: Option<Duration>,
}

impl HistoryQuery {
    /// `metric` of the gateway, or of the process if it is of nothing else, over the last hour, or over the retention if that is shorter, at a
    /// step that makes some 60 to 120 points.
    #[must_use]
    pub const fn new(metric: HistoryMetric) -> Self {
        Self {
            metric,
            scope: if metric.is_of_process() {
                HistoryScope::Process
            } else {
                HistoryScope::Gateway
            },
            window: None,
            step: None,
        }
    }

    /// The same somewhere else.
    #[must_use]
    pub fn scope(mut self, scope: HistoryScope) -> Self {
        self.scope = scope;
        self
    }

    /// The same over another time, up to the retention.
    #[must_use]
    pub const fn window(mut self, window: Duration) -> Self {
        self.window = Some(window);
        self
    }

    /// The same at another step: so long is what each point is about, where the slots are as fine.
    /// The window may have 2,000 steps at the most.
    #[must_use]
    pub const fn step(mut self, step: Duration) -> Self {
        self.step = Some(step);
        self
    }
}

/// One figure over time: the answer of `/performance/history`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct HistoryView {
    /// What the answer is about. Its `quantile_error_percent` holds for each point.
    #[serde(flatten)]
    pub coverage: Coverage,
    /// The name of the metric.
    pub metric: &'static str,
    /// Its unit, in UCUM; money in `USD`.
    pub unit: &'static str,
    /// Where, as in a query.
    pub scope: String,
    /// The step that was asked for or chosen, in seconds.
    pub step_seconds: f64,
    /// Oldest first, without gaps.
    pub points: Vec<HistoryPoint>,
}

/// A figure over some time.
///
/// A point is made of whole slots: those that begin in the same step, counted from the Unix epoch.
/// So it begins and ends where these do, up to one collection off the step. Further back, where
/// the slots are coarser than the step, each slot is one point: nothing finer is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct HistoryPoint {
    /// The moment after which it begins, in Unix seconds.
    pub start: f64,
    /// The moment up to which it goes, in Unix seconds.
    pub end: f64,
    /// The figure. Without samples counts, sums and rates per time are 0, and all else is `null`.
    pub value: Option<f64>,
    /// How many samples it is made of.
    pub samples: u64,
}

/// What `query` asks for.
pub(crate) fn history(snapshot: &Snapshot, query: &HistoryQuery) -> Result<HistoryView, ViewError> {
    let HistoryQuery { metric, scope, .. } = query;
    if !scope.has(*metric) {
        return Err(ViewError::NotInScope {
            metric: metric.name(),
            scope: scope.to_string(),
        });
    }
    let history = &snapshot.history;
    let usual = USUAL_WINDOW.min(history.retention);
    let window = query.window.unwrap_or(usual);
    let step = step_of(window, query.step)?;
    let slots = slots_of(history, Window::Last(window))?.unwrap_or_default();
    scope.check(snapshot)?;

    let plan = Plan::new(snapshot, *metric, scope);
    let width = saturating_nanos(step).max(1);
    let cell = |slot: &Arc<Slot>| slot.since().as_unix_nanos() / width;
    let mut error = ErrorBound::default();
    let points = slots.chunk_by(|a, b| cell(a) == cell(b)).map(|group| {
        let (start, end) = History::covered(group).unwrap_or_default();
        let tally = plan.tally(group);
        HistoryPoint {
            start: start.as_unix_seconds(),
            end: end.as_unix_seconds(),
            value: plan.value(&tally, end.since(start).as_secs_f64(), &mut error),
            samples: plan.samples(&tally),
        }
    });
    let points = points.collect();
    let now = snapshot.collected_at;
    let covered = History::covered(slots).unwrap_or((now, now));
    Ok(HistoryView {
        coverage: coverage(snapshot, covered, &plan.sources, error),
        metric: metric.name(),
        unit: metric.unit(),
        scope: scope.to_string(),
        step_seconds: step.as_secs_f64(),
        points,
    })
}

/// The step that was asked for, if it is not too short; else one that makes neither too many
/// points nor too few.
fn step_of(window: Duration, asked: Option<Duration>) -> Result<Duration, ViewError> {
    let Some(step) = asked else {
        let seconds = USUAL_STEPS.into_iter().map(Duration::from_secs);
        let fits = |step: &Duration| step.saturating_mul(USUAL_POINTS) >= window;
        return Ok(seconds.into_iter().find(fits).unwrap_or(window));
    };
    if step.is_zero() {
        return Err(ViewError::StepEmpty);
    }
    if step.saturating_mul(MAX_POINTS) < window {
        // Whole seconds, as a query has them.
        let least = window.as_secs_f64() / f64::from(MAX_POINTS);
        let least = Duration::from_secs(least.ceil() as u64);
        return Err(ViewError::StepTooFine { least });
    }
    Ok(step)
}

#[cfg(test)]
mod tests;
