//! What each route answers: a view of a snapshot, as JSON.

use super::{
    problem::Problem,
    query::{self, Asked},
};
use crate::{
    core::{
        snapshot::Snapshot,
        views::{self, ViewError},
        window::Window,
    },
    edge::otel::exposition,
};
use axum::http::StatusCode;
use serde::Serialize;
use std::time::Duration;

/// What the real-time view covers unless it is told.
const REAL_TIME: Duration = Duration::from_secs(5 * 60);

/// Names in an error are no more than these.
const NAMES: usize = 50;

/// What a route answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    Report,
    RealTime,
    Providers,
    Endpoints,
    Components,
    Metrics,
}

impl Route {
    /// The query parameters that it takes.
    pub(crate) const fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::Report | Self::RealTime | Self::Components => &[query::WINDOW],
            Self::Providers => &[query::WINDOW, query::PROVIDER],
            Self::Endpoints => &[query::WINDOW, query::ENDPOINT],
            Self::Metrics => &[],
        }
    }

    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Metrics => exposition::CONTENT_TYPE,
            _ => "application/json",
        }
    }
}

/// The answer of a route with a view.
pub(crate) fn view(route: Route, asked: &Asked, snapshot: &Snapshot) -> Result<String, Problem> {
    let window = asked.window.map_or(Window::SinceStart, Window::Last);
    let only = asked.only.as_deref();
    let nothing = || Ok(Vec::new());
    match route {
        Route::Report => json(views::report(snapshot, window), nothing),
        Route::RealTime => {
            let usual = REAL_TIME.min(snapshot.history.retention);
            let window = Window::Last(asked.window.unwrap_or(usual));
            json(views::real_time(snapshot, window), nothing)
        }
        Route::Providers => json(views::providers(snapshot, window, only), || {
            let all = views::providers(snapshot, window, None);
            all.map(|view| view.providers.into_keys().collect())
        }),
        Route::Endpoints => json(views::endpoints(snapshot, window, only), || {
            let all = views::endpoints(snapshot, window, None);
            all.map(|view| view.endpoints.into_keys().collect())
        }),
        Route::Components => json(views::components(snapshot, window), nothing),
        Route::Metrics => Err(not_rendered()),
    }
}

/// `view` as JSON; if there is none for a name that is not known, the problem has the `known` ones.
fn json<T: Serialize>(
    view: Result<T, ViewError>,
    known: impl FnOnce() -> Result<Vec<String>, ViewError>,
) -> Result<String, Problem> {
    match view {
        Ok(view) => serde_json::to_string(&view).map_err(|_| not_rendered()),
        Err(error) => Err(no_view(&error, known)),
    }
}

fn no_view(error: &ViewError, known: impl FnOnce() -> Result<Vec<String>, ViewError>) -> Problem {
    let detail = format!("Not answered: {error}.");
    let field = match error {
        ViewError::UnknownProvider => query::PROVIDER,
        ViewError::UnknownEndpoint => query::ENDPOINT,
        ViewError::WindowTooLong { .. } | ViewError::WindowEmpty => {
            return Problem::new(StatusCode::BAD_REQUEST, detail).field(query::WINDOW);
        }
    };
    let known = known().unwrap_or_default();
    Problem::new(StatusCode::NOT_FOUND, detail)
        .field(field)
        .allowed(known.into_iter().take(NAMES))
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

    fn json_of(route: Route, window: Option<u64>, snapshot: &Snapshot) -> serde_json::Value {
        let window = window.map(Duration::from_secs);
        let asked = Asked { window, only: None };
        serde_json::from_str(&view(route, &asked, snapshot).unwrap()).unwrap()
    }

    #[test]
    fn a_window_has_what_was_measured_in_it() {
        let snapshot = snapshot(&[100, 800, 990], HOUR);
        let count = |window| {
            let view = json_of(Route::Providers, window, &snapshot);
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
        let attempts = |route, field: &str| {
            let view = json_of(route, None, &long_ago);
            view[field]["cerebras"]["total_requests"].as_u64()
        };
        assert_eq!(attempts(Route::RealTime, "provider_performance"), Some(1));
        assert_eq!(attempts(Route::Report, "provider_performance"), Some(3));
        assert_eq!(attempts(Route::Providers, "providers"), Some(3));
        let kept_shortly = snapshot(&[990], Duration::from_secs(60));
        let view = json_of(Route::RealTime, None, &kept_shortly);
        assert_eq!(
            view["provider_performance"]["cerebras"]["total_requests"],
            1
        );
    }
}
