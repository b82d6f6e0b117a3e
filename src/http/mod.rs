//! The HTTP surface: what the routes answer, computed off the async workers, for whom.

mod access;
mod answer;
mod problem;
mod query;
mod seats;
mod server;
mod stall;

pub(crate) use access::{Access, Hosts, Token};
pub(crate) use server::{Bounds, serve};

use crate::{edge::otel::exposition, tick::Shared};
use access::Guard;
use answer::{Route, not_rendered};
use axum::{
    Router,
    extract::State,
    http::{HeaderValue, Request, StatusCode, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{MethodRouter, any, get},
};
use problem::Problem;
use query::Asked;
use seats::{Refused, Seats};
use std::sync::Arc;

/// Answers that are computed at the same time.
pub(crate) const AT_ONCE: usize = 2;
/// Requests that wait for their turn or have it; what comes beyond is refused.
const PLACES: usize = 64;
/// The routes, in the order in which they are documented.
const ROUTES: [(&str, Route); 6] = [
    ("/performance", Route::Report),
    ("/performance/real-time", Route::RealTime),
    ("/performance/providers", Route::Providers),
    ("/performance/endpoints", Route::Endpoints),
    ("/performance/components", Route::Components),
    ("/metrics", Route::Metrics),
];

/// Whose listener the routes are on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The monitor's own: there is nothing but these routes.
    Own,
    /// The host's: what is not below our paths is the host's to answer.
    Merged,
}

/// What all requests share, on whichever listener they come.
pub(crate) struct Surface {
    shared: Arc<Shared>,
    registry: prometheus::Registry,
    access: Access,
    seats: Seats,
}

impl Surface {
    pub(crate) fn new(
        shared: Arc<Shared>,
        registry: prometheus::Registry,
        access: Access,
    ) -> Arc<Self> {
        Arc::new(Self {
            shared,
            registry,
            access,
            seats: Seats::new(AT_ONCE, PLACES),
        })
    }

    /// Who may read what comes to the host's listener.
    pub(crate) fn merged_hosts(&self) -> Hosts {
        Hosts::merged(&self.access)
    }

    /// Who may read what comes to the monitor's own listener.
    pub(crate) fn own_hosts(&self, listener: std::net::SocketAddr) -> Hosts {
        Hosts::own(&self.access, listener)
    }

    async fn answer(self: Arc<Self>, route: Route, uri: Uri) -> Response {
        let retention = self.shared.settings.get().retention;
        let asked = match Asked::parse(&uri, route.parameters(), retention) {
            Ok(asked) => asked,
            Err(problem) => return problem.into_response(),
        };
        let surface = Arc::clone(&self);
        let rendered = self.seats.run(move || surface.render(route, &asked)).await;
        match rendered {
            Ok(Ok(body)) => ([(header::CONTENT_TYPE, route.content_type())], body).into_response(),
            Ok(Err(problem)) => problem.into_response(),
            Err(refused) => refusal(&refused).into_response(),
        }
    }

    /// Computes the answer. Blocks for up to 50 ms, and computes for longer than an async worker
    /// should.
    fn render(&self, route: Route, asked: &Asked) -> Result<String, Problem> {
        let snapshot = self.shared.fresh();
        match route {
            Route::Metrics => {
                exposition::render(self.registry.gather()).map_err(|_| not_rendered())
            }
            _ => answer::view(route, asked, &snapshot),
        }
    }
}

/// The routes of `surface`, as they are at `place`.
pub(crate) fn router(surface: &Arc<Surface>, hosts: Hosts, place: Place) -> Router {
    let token = &surface.access.token;
    let guarded = |router: Router<Arc<Surface>>, hosts: Hosts| {
        let guard = Arc::new(Guard::new(token.clone(), hosts));
        router
            .method_not_allowed_fallback(method_not_allowed)
            .layer(middleware::from_fn_with_state(guard, pass))
    };
    let mut performance = Router::new();
    let mut metrics = Router::new();
    for (path, route) in ROUTES {
        if route == Route::Metrics {
            metrics = metrics.route(path, answers(route));
        } else {
            performance = performance.route(path, answers(route));
        }
    }
    performance = performance.route("/performance/{*unknown}", any(not_found));
    if place == Place::Own {
        performance = performance.fallback(not_found);
    }
    // A scraper addresses its target however it was discovered, and is no browser: Prometheus may
    // use any name.
    guarded(performance, hosts)
        .merge(guarded(metrics, Hosts::any()))
        .with_state(Arc::clone(surface))
}

fn answers(route: Route) -> MethodRouter<Arc<Surface>> {
    get(
        move |State(surface): State<Arc<Surface>>, uri: Uri| async move {
            surface.answer(route, uri).await
        },
    )
}

/// Lets through whom the guard admits, and marks every answer.
async fn pass(
    State(guard): State<Arc<Guard>>,
    request: Request<axum::body::Body>,
    next: Next,
) -> Response {
    let mut response = match guard.check(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

async fn not_found() -> Problem {
    let paths = ROUTES.iter().map(|(path, _)| *path);
    Problem::new(StatusCode::NOT_FOUND, "There is nothing at this path.")
        .field("path")
        .allowed(paths)
}

async fn method_not_allowed() -> Problem {
    let detail = "This route only answers reads.";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
        .field("method")
        .allowed(["GET", "HEAD"])
}

fn refusal(refused: &Refused) -> Problem {
    match refused {
        Refused::Full => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("More than {PLACES} requests are being answered; ask again."),
        )
        .header(header::RETRY_AFTER, "1"),
        Refused::Stopped => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "There is no running Tokio runtime to compute the answer on.",
        )
        .header(header::RETRY_AFTER, "1"),
        Refused::Panicked => not_rendered(),
    }
}
