//! The HTTP surface: what the routes answer, computed off the async workers, for whom.

mod access;
mod answer;
mod moment;
mod openapi;
mod over_time;
mod problem;
mod query;
mod route;
mod routes;
mod seats;
mod server;
mod stall;

pub(crate) use access::{Access, Hosts, Token};
pub(crate) use server::{Bounds, serve};

use crate::tick::Shared;
use access::Guard;
use answer::not_rendered;
use axum::{
    Router,
    extract::State,
    http::{HeaderValue, Request, StatusCode, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{MethodRouter, any},
};
use problem::Problem;
use query::Asked;
use route::{Action, Route, Tells};
use routes::{METRICS, ROUTES, paths};
use seats::{Refused, Seats};
use std::sync::Arc;

/// Answers that are computed at the same time.
pub(crate) const AT_ONCE: usize = 2;
/// Requests that wait for their turn or have it; what comes beyond is refused.
const PLACES: usize = 64;

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

    async fn tell(
        self: Arc<Self>,
        route: &'static Route,
        tells: &'static dyn Tells,
        uri: Uri,
    ) -> Response {
        let retention = self.shared.settings.get().retention;
        let asked = match Asked::parse(&uri, route.parameters, retention) {
            Ok(asked) => asked,
            Err(problem) => return problem.into_response(),
        };
        let surface = Arc::clone(&self);
        let told = self.seats.run(move || tells.tell(&surface, &asked)).await;
        match told {
            Ok(answer) => answer.into_response(),
            Err(refused) => refusal(&refused).into_response(),
        }
    }
}

/// The routes of `surface`, as they are at `place`.
pub(crate) fn router(surface: &Arc<Surface>, hosts: Hosts, place: Place) -> Router {
    let token = &surface.access.token;
    let guarded = |router: Router<Arc<Surface>>, hosts: Hosts| {
        let guard = Arc::new(Guard::new(token.clone(), hosts));
        router.layer(middleware::from_fn_with_state(guard, pass))
    };
    let mut performance = Router::new();
    let mut metrics = Router::new();
    for path in paths() {
        if path == METRICS {
            metrics = metrics.route(path, answers(path));
        } else {
            performance = performance.route(path, answers(path));
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

/// What answers at `path`: whatever is in the table, and a problem for any other method.
fn answers(path: &'static str) -> MethodRouter<Arc<Surface>> {
    let here = || ROUTES.iter().filter(move |route| route.path == path);
    let mut router = MethodRouter::new();
    for route in here() {
        router = match route.action {
            Action::Get(tells) => {
                router.get(move |State(surface): State<Arc<Surface>>, uri: Uri| {
                    surface.tell(route, tells, uri)
                })
            }
        };
    }
    let methods: Vec<&str> = here().flat_map(Route::methods).copied().collect();
    let not_allowed = Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "This route does not answer to this method.",
    );
    let not_allowed = not_allowed.field("method").allowed(methods);
    router.fallback(move || std::future::ready(not_allowed.clone()))
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
    Problem::new(StatusCode::NOT_FOUND, "There is nothing at this path.")
        .field("path")
        .allowed(paths())
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
