//! What the slots of one point say.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::metric::{Definition, Figure, HistoryMetric, Source};
use super::scope::HistoryScope;
use crate::core::aggregate::Aggregate;
use crate::core::error_type;
use crate::core::packed::Packed;
use crate::core::series::SeriesKey;
use crate::core::slot::Slot;
use crate::core::snapshot::Snapshot;
use crate::core::views::reading::{error_type, failed, label, sources, unit_ms};
use crate::core::views::stats::ErrorBound;
use crate::core::views::{average, percent};
use crate::names;

/// Which series make the figure, and how.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    definition: Definition,
    /// By id.
    parts: Vec<Option<Part>>,
    unit_ms: f64,
    pub(super) sources: BTreeMap<&'a str, &'a str>,
}

/// What one series has to do with the figure.
#[derive(Debug, Clone, Copy)]
enum Part {
    /// The figure is of it.
    Main {
        failed: bool,
        error_type: Option<&'static str>,
    },
    /// It tells how many requests there were.
    Requests,
}

/// What the slots of one point say.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// All of it, where the figure needs it.
    whole: Option<Aggregate>,
    total: u64,
    failed: u64,
    callers: u64,
    timeouts: u64,
    rate_limited: u64,
    requests: u64,
    /// How many slots had something.
    readings: u64,
}

impl<'a> Plan<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, metric: HistoryMetric, scope: &HistoryScope) -> Self {
        let definition = metric.definition();
        let main = main_metric(definition.source, scope);
        let durations = scope.durations().unwrap_or(main);
        let sources = sources(snapshot, &[main, durations]);
        let totals = &snapshot.history.totals;
        let mut unit = 1.0;
        let mut part = |key: &SeriesKey| {
            if sources.get(&*key.metric) != Some(&&*key.scope) || !scope.holds(key) {
                return None;
            }
            if &*key.metric == main {
                unit = unit_ms(totals, key);
                return is_of(definition.source, key).then(|| match definition.source {
                    Source::Cache => Part::Main {
                        failed: label(key, names::CACHE_RESULT) != names::CACHE_HIT,
                        error_type: None,
                    },
                    _ => Part::Main {
                        failed: failed(key),
                        error_type: error_type(key),
                    },
                });
            }
            Some(Part::Requests)
        };
        let parts = totals.series.iter().map(|total| part(total.key()));
        let parts = parts.collect();
        let is_duration = matches!(definition.source, Source::Durations | Source::FirstToken);
        Self {
            definition,
            parts,
            unit_ms: if is_duration { unit } else { 1.0 },
            // That of the requests counts only where these do.
            sources: if definition.source == Source::Cost {
                sources
            } else {
                sources
                    .into_iter()
                    .filter(|(name, _)| *name == main)
                    .collect()
            },
        }
    }

    /// What `slots` say.
    pub(super) fn tally(&self, slots: &[Arc<Slot>]) -> Tally {
        let mut tally = Tally::default();
        for (id, packed) in slots.iter().flat_map(|slot| slot.entries()) {
            match self.parts.get(id as usize).copied().flatten() {
                None => {}
                Some(Part::Requests) => {
                    tally.requests = tally.requests.saturating_add(packed.count())
                }
                Some(Part::Main { failed, error_type }) => {
                    tally.add(packed, failed, error_type, self.needs_whole());
                }
            }
        }
        tally
    }

    /// The figure, over `seconds`; the error of a percentile goes to `error`.
    pub(super) fn value(&self, tally: &Tally, seconds: f64, error: &mut ErrorBound) -> Option<f64> {
        let whole = tally.whole.as_ref();
        let sum = whole.map_or(0.0, Aggregate::sum);
        let per_second = |amount: f64| (seconds > 0.0).then(|| amount / seconds);
        let successes = tally.total.saturating_sub(tally.failed);
        match self.definition.figure {
            Figure::Total => Some(tally.total as f64),
            Figure::Successes => Some(successes as f64),
            Figure::Failures => Some(tally.failed as f64),
            Figure::Timeouts => Some(tally.timeouts as f64),
            Figure::RateLimited => Some(tally.rate_limited as f64),
            Figure::Per(unit) => per_second(tally.total as f64 * unit),
            Figure::ErrorsPerSecond => per_second(tally.failed as f64),
            Figure::SuccessRate => percent(successes, tally.total),
            Figure::ProviderSuccessRate => {
                percent(successes, tally.total.saturating_sub(tally.callers))
            }
            Figure::ErrorRate => percent(tally.failed, tally.total),
            Figure::Average => average(sum * self.unit_ms, whole.map_or(0, Aggregate::count)),
            Figure::Min => Some(whole?.min()? * self.unit_ms),
            Figure::Max => Some(whole?.max()? * self.unit_ms),
            Figure::Quantile(q) => {
                let (value, percent) = whole?.quantile(q)?;
                error.include_percent(percent);
                Some(value * self.unit_ms)
            }
            Figure::Level => match (whole?, self.definition.source) {
                (Aggregate::Level(level), Source::Gauge(_, one)) => Some(level.average()? / one),
                _ => None,
            },
            Figure::SumPerSecond if self.has_series() => per_second(sum),
            Figure::SumPerSecond => None,
            Figure::Sum => Some(sum),
            Figure::SumPerHour => per_second(sum * 3_600.0),
            Figure::SumPerRequest => average(sum, tally.requests),
        }
    }

    /// How many samples the figure is made of; of money, how many requests; of a gauge, how many
    /// readings; of what the process used, how many slots.
    pub(super) fn samples(&self, tally: &Tally) -> u64 {
        match (&tally.whole, self.definition.source) {
            (_, Source::Cost) => tally.requests,
            (Some(Aggregate::Level(level)), _) => level.count,
            (_, Source::Usage(..)) => tally.readings,
            _ => tally.total,
        }
    }

    /// Whether there is, or ever was, anything to tell of.
    fn has_series(&self) -> bool {
        self.parts.iter().any(Option::is_some)
    }

    const fn needs_whole(&self) -> bool {
        matches!(
            self.definition.figure,
            Figure::Average
                | Figure::Min
                | Figure::Max
                | Figure::Quantile(_)
                | Figure::Sum
                | Figure::Level
                | Figure::SumPerSecond
                | Figure::SumPerHour
                | Figure::SumPerRequest
        )
    }
}

impl Tally {
    fn add(
        &mut self,
        packed: Packed<'_>,
        failed: bool,
        error_type: Option<&'static str>,
        whole: bool,
    ) {
        self.readings = self.readings.saturating_add(1);
        if whole {
            match &mut self.whole {
                Some(whole) => packed.merge_into(whole),
                empty => *empty = Some(packed.unpack()),
            }
        }
        let count = match packed.count() {
            // A counter has no values to count.
            0 if !whole => packed.unpack().sum().round() as u64,
            count => count,
        };
        let add = |to: &mut u64, applies: bool| {
            if applies {
                *to = to.saturating_add(count);
            }
        };
        let is = |test: fn(&str) -> bool| error_type.is_some_and(test);
        add(&mut self.total, true);
        add(&mut self.failed, failed);
        add(
            &mut self.callers,
            is(|e| error_type::domain(e).is_callers()),
        );
        add(&mut self.timeouts, is(error_type::is_timeout));
        add(&mut self.rate_limited, is(error_type::is_rate_limited));
    }
}

/// The metric that the figure is of.
fn main_metric(source: Source, scope: &HistoryScope) -> &'static str {
    match source {
        Source::Durations => scope.durations().unwrap_or_default(),
        Source::FirstToken => names::GEN_AI_TIME_TO_FIRST_CHUNK,
        Source::Tokens(_) => names::GEN_AI_TOKEN_USAGE,
        Source::Cost => names::COST,
        Source::Cache => names::CACHE_RESULTS,
        Source::Size(metric)
        | Source::Counter(metric)
        | Source::Gauge(metric, _)
        | Source::Usage(metric, _) => metric,
    }
}

/// Whether a series of the metric is one of those that the figure is of.
fn is_of(source: Source, key: &SeriesKey) -> bool {
    match source {
        Source::Tokens(kind) => label(key, names::GEN_AI_TOKEN_TYPE) == kind,
        Source::Usage(_, labels) => {
            let has = |(name, value): &(&str, &str)| label(key, name) == *value;
            labels.iter().all(has)
        }
        _ => true,
    }
}
