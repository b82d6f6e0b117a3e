//! What each route answers.

use super::{
    Surface, over_time,
    problem::Problem,
    query::{Asked, ENDPOINT, EXPERIMENT, PROVIDER, WINDOW},
};
use crate::{
    cardinality::{CardinalityView, cardinality},
    core::{
        alerts::view::{self, AlertsView},
        snapshot::Snapshot,
        span,
        views::{
            self, ComponentsView, EndpointsView, ExperimentsView, MemoryView, PerformanceReport,
            ProvidersView, RealTimeView, SlowestView, ViewError,
        },
        window::Window,
    },
    summary::{self, PerformanceSummary},
};
use axum::http::StatusCode;
use std::time::Duration;

/// What the real-time view covers unless it is told.
const REAL_TIME: Duration = Duration::from_secs(5 * 60);

/// Names in an error are no more than these.
const NAMES: usize = 50;

/// The window asked for: all since the start unless it was given.
fn window(asked: &Asked) -> Window {
    asked.span(&WINDOW).map_or(Window::SinceStart, Window::Last)
}

pub(crate) fn report(snapshot: &Snapshot, asked: &Asked) -> Result<PerformanceReport, Problem> {
    views::report(snapshot, window(asked)).map_err(|error| no_view(&error, Vec::new))
}

pub(crate) fn real_time(snapshot: &Snapshot, asked: &Asked) -> Result<RealTimeView, Problem> {
    let usual = REAL_TIME.min(snapshot.history.retention);
    let window = Window::Last(asked.span(&WINDOW).unwrap_or(usual));
    views::real_time(snapshot, window).map_err(|error| no_view(&error, Vec::new))
}

pub(crate) fn alerts(snapshot: &Snapshot, _: &Asked) -> Result<AlertsView, Problem> {
    Ok(view::alerts(snapshot))
}

pub(crate) fn providers(snapshot: &Snapshot, asked: &Asked) -> Result<ProvidersView, Problem> {
    let window = window(asked);
    views::providers(snapshot, window, asked.text(&PROVIDER)).map_err(|error| {
        no_view(&error, || {
            let all = views::providers(snapshot, window, None);
            all.map_or_else(|_| Vec::new(), |view| view.providers.into_keys().collect())
        })
    })
}

pub(crate) fn endpoints(snapshot: &Snapshot, asked: &Asked) -> Result<EndpointsView, Problem> {
    let window = window(asked);
    views::endpoints(snapshot, window, asked.text(&ENDPOINT)).map_err(|error| {
        no_view(&error, || {
            let all = views::endpoints(snapshot, window, None);
            all.map_or_else(|_| Vec::new(), |view| view.endpoints.into_keys().collect())
        })
    })
}

pub(crate) fn slowest(snapshot: &Snapshot, asked: &Asked) -> Result<SlowestView, Problem> {
    let (provider, endpoint) = (asked.text(&PROVIDER), asked.text(&ENDPOINT));
    views::slowest(snapshot, window(asked), provider, endpoint).map_err(|error| {
        no_view(&error, || {
            let [providers, endpoints] = views::known(snapshot);
            let known = match error {
                ViewError::UnknownProvider => providers,
                _ => endpoints,
            };
            known.into_iter().map(str::to_owned).collect()
        })
    })
}

pub(crate) fn components(snapshot: &Snapshot, asked: &Asked) -> Result<ComponentsView, Problem> {
    views::components(snapshot, window(asked)).map_err(|error| no_view(&error, Vec::new))
}

pub(crate) fn experiments(snapshot: &Snapshot, asked: &Asked) -> Result<ExperimentsView, Problem> {
    let window = window(asked);
    views::experiments(snapshot, window, asked.text(&EXPERIMENT)).map_err(|error| {
        no_view(&error, || {
            let all = views::experiments(snapshot, Window::SinceStart, None);
            all.map_or_else(
                |_| Vec::new(),
                |view| view.experiments.into_keys().collect(),
            )
        })
    })
}

pub(crate) fn memory(snapshot: &Snapshot, asked: &Asked) -> Result<MemoryView, Problem> {
    views::memory(snapshot, window(asked)).map_err(|error| no_view(&error, Vec::new))
}

pub(crate) fn summary(surface: &Surface, asked: &Asked) -> Result<PerformanceSummary, Problem> {
    let view = summary::summary(&surface.shared, window(asked));
    view.map_err(|error| no_view(&error, Vec::new))
}

pub(crate) fn labels(surface: &Surface, _: &Asked) -> Result<CardinalityView, Problem> {
    Ok(cardinality(&surface.shared))
}

/// Why there is no view; for a name that is not known, with those that are.
pub(crate) fn no_view(error: &ViewError, known: impl FnOnce() -> Vec<String>) -> Problem {
    let detail = format!("Not answered: {error}.");
    let field = match error {
        ViewError::UnknownProvider => PROVIDER.name,
        ViewError::UnknownEndpoint => ENDPOINT.name,
        ViewError::WindowTooLong { .. } | ViewError::WindowEmpty => {
            return WINDOW.refused(detail).allowed(span::forms());
        }
        ViewError::StepEmpty | ViewError::StepTooFine { .. } => {
            return over_time::STEP.refused(detail).allowed(span::forms());
        }
        ViewError::NotInScope { .. } => {
            return over_time::METRIC.refused(detail).allowed(known());
        }
        ViewError::UnknownExperiment => EXPERIMENT.name,
        ViewError::UnknownModel | ViewError::UnknownComponent | ViewError::UnknownTimer => {
            over_time::SCOPE.name
        }
    };
    Problem::new(StatusCode::NOT_FOUND, detail)
        .field(field)
        .allowed(known().into_iter().take(NAMES))
}

pub(crate) fn not_rendered() -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "The answer could not be rendered.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Timestamp,
        core::{
            histogram::ExponentialHistogram,
            series::{Collection, Labels, SeriesKey, Value},
            snapshot::Configured,
            window::{WindowConfig, Windows},
        },
        names,
    };
    use std::sync::Arc;

    const HOUR: Duration = Duration::from_secs(3_600);

    /// One attempt of a second at each of these seconds, collected then; read at 1,000 s.
    fn snapshot(attempts: &[u64], retention: Duration) -> Snapshot {
        let at = |seconds: u64| Timestamp::from_unix_nanos(seconds * 1_000_000_000);
        let max_series = 10;
        let mut windows = Windows::new(WindowConfig {
            retention,
            max_series,
            ..WindowConfig::default()
        });
        let mut since = at(0);
        for until in attempts.iter().copied().chain([1_000]).map(at) {
            let mut histogram = ExponentialHistogram::new(6);
            histogram.record(1.0);
            let key = SeriesKey {
                scope: Arc::from(names::SCOPE),
                metric: Arc::from(names::GEN_AI_OPERATION_DURATION),
                labels: Labels::from([(names::GEN_AI_PROVIDER_NAME, "cerebras")]),
            };
            let mut collection = Collection {
                since,
                until,
                ..Collection::default()
            };
            if until < at(1_000) {
                collection.points.push((key, Value::Exponential(histogram)));
            }
            windows.append(collection);
            since = until;
        }
        Snapshot {
            collected_at: at(1_000),
            history: windows.history(),
            ..Snapshot::empty(at(0), retention, Arc::new(Configured::new()))
        }
    }

    fn json_of<T: serde::Serialize>(
        route: fn(&Snapshot, &Asked) -> Result<T, Problem>,
        window: Option<u64>,
        snapshot: &Snapshot,
    ) -> serde_json::Value {
        let asked = window.map_or_else(Asked::default, |seconds| {
            Asked::default().with_span(&WINDOW, Duration::from_secs(seconds))
        });
        serde_json::to_value(route(snapshot, &asked).unwrap()).unwrap()
    }

    #[test]
    fn a_window_has_what_was_measured_in_it() {
        let snapshot = snapshot(&[100, 800, 990], HOUR);
        let count = |window| {
            let view = json_of(providers, window, &snapshot);
            view["summary"]["total_requests"].as_u64()
        };
        assert_eq!(count(None), Some(3));
        assert_eq!(count(Some(3_600)), Some(3));
        assert_eq!(count(Some(5)), Some(0));
        assert_eq!(count(Some(60)), Some(1));
        assert_eq!(count(Some(300)), Some(2));
    }

    #[test]
    fn without_a_window_real_time_is_five_minutes_and_the_rest_is_all() {
        let long_ago = snapshot(&[100, 600, 990], HOUR);
        let attempts =
            |providers: &serde_json::Value| providers["cerebras"]["total_requests"].as_u64();
        let view = json_of(real_time, None, &long_ago);
        assert_eq!(attempts(&view["provider_performance"]), Some(1));
        let view = json_of(report, None, &long_ago);
        assert_eq!(attempts(&view["provider_performance"]), Some(3));
        let view = json_of(providers, None, &long_ago);
        assert_eq!(attempts(&view["providers"]), Some(3));
        let kept_shortly = snapshot(&[990], Duration::from_secs(60));
        let view = json_of(real_time, None, &kept_shortly);
        assert_eq!(attempts(&view["provider_performance"]), Some(1));
    }
}
