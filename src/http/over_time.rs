//! `/performance/history`: what may be asked of it, and what it answers.

use super::{
    answer::no_view,
    problem::Problem,
    query::{Asked, Kind, Parameter},
};
use crate::core::{
    snapshot::Snapshot,
    views::{self, HistoryMetric, HistoryQuery, HistoryScope, HistoryView, ViewError},
};

/// Which figure.
pub(crate) const METRIC: Parameter = Parameter {
    name: "metric",
    about: "Which figure. Without it, `requests_per_second`.",
    kind: Kind::OneOf(&NAMES),
};
/// Where.
pub(crate) const SCOPE: Parameter = Parameter {
    name: "scope",
    about: "Where: `gateway`, `process`, `providers`, `provider:<name>`, `model:<provider>/<model>`, \
            `endpoint:<path>`, `component:<name>[/<operation>]`, \
            `timer:<name>` or `experiment:<name>[/<variant>]`. Without it, `gateway`, or `process` for what is of the process.",
    kind: Kind::Text,
};
/// Over which time. Another description than that of the other routes' window, for the same.
pub(crate) const WINDOW: Parameter = Parameter {
    name: "window",
    about: "The last so much, at most the retention. Without it, an hour.",
    kind: Kind::Span,
};
/// How much time each point is about.
pub(crate) const STEP: Parameter = Parameter {
    name: "step",
    about: "How much time each point is about, where the slots are as fine; the window may have \
            2,000 steps at the most. Without it, a step that makes some 60 to 120 points.",
    kind: Kind::Span,
};

const METRICS: usize = HistoryMetric::ALL.len();
const NAMES: [&str; METRICS + HistoryMetric::ALIASES.len()] = names();

#[allow(clippy::indexing_slicing, reason = "runs in the compiler only")]
const fn names() -> [&'static str; METRICS + HistoryMetric::ALIASES.len()] {
    let mut names = [""; METRICS + HistoryMetric::ALIASES.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = if at < METRICS {
            HistoryMetric::ALL[at].name()
        } else {
            HistoryMetric::ALIASES[at - METRICS].0
        };
        at += 1;
    }
    names
}

/// The answer.
pub(crate) fn history(snapshot: &Snapshot, asked: &Asked) -> Result<HistoryView, Problem> {
    let metric = asked.one_of(&METRIC).and_then(HistoryMetric::from_name);
    let mut query = HistoryQuery::new(metric.unwrap_or(HistoryMetric::RequestsPerSecond));
    if let Some(text) = asked.text(&SCOPE) {
        let scope = HistoryScope::parse(text).ok_or_else(|| {
            let detail = "This is no scope.";
            SCOPE.refused(detail).allowed(HistoryScope::FORMS)
        })?;
        query = query.scope(scope);
    }
    if let Some(window) = asked.span(&WINDOW) {
        query = query.window(window);
    }
    if let Some(step) = asked.span(&STEP) {
        query = query.step(step);
    }
    views::history(snapshot, &query).map_err(|error| match error {
        // Here these were asked for by the scope.
        ViewError::UnknownProvider
        | ViewError::UnknownEndpoint
        | ViewError::UnknownModel
        | ViewError::UnknownComponent
        | ViewError::UnknownTimer
        | ViewError::UnknownExperiment => {
            let known = || views::known_scopes(snapshot, &query.scope);
            no_view(&error, known).field(SCOPE.name)
        }
        _ => no_view(&error, || {
            let metrics = HistoryMetric::ALL.into_iter();
            let there = metrics.filter(|metric| query.scope.has(*metric));
            there.map(|metric| metric.name().to_owned()).collect()
        }),
    })
}
