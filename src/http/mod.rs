//! The HTTP surface: what the routes answer, computed off the async workers, for whom.

mod accept;
mod access;
mod answer;
mod body;
mod config;
mod counted;
mod export;
mod kept;
mod metrics;
mod openapi;
mod origin;
mod over_time;
mod problem;
mod query;
mod route;
mod routes;
mod seats;
mod server;
mod stall;

pub(crate) use access::{Access, Token};
pub(crate) use server::{Bounds, serve};

use crate::clock::thread_cpu;
use crate::core::cost::{Account, Work};
use crate::tick::Shared;
use access::{Guard, Hosts};
use answer::not_rendered;
use axum::{
    Extension, Router,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{MethodRouter, any},
};
use export::Exports;
use kept::Kept;
use problem::Problem;
use query::Asked;
use route::{Action, Changes, Route, Tells};
use routes::{METRICS, ROUTES, paths};
use seats::{Refused, Seats};
use std::{net::SocketAddr, sync::Arc, time::Duration};

/// Answers that are computed at the same time.
pub(crate) const AT_ONCE: usize = 2;
/// Requests that wait for their turn or have it; what comes beyond is refused.
const PLACES: usize = 64;

/// What every answer says of how it is to be taken: anew each time, as what it is said to be, as no
/// page, and by nobody else's page.
const MARKS: [(HeaderName, &str); 5] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'",
    ),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// Whose listener the routes are on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The monitor's own, at this address: there is nothing but these routes.
    Own(SocketAddr),
    /// The host's: what is not below our paths is the host's to answer.
    Merged,
}

impl Place {
    /// How long the body of a request may take. On the host's listener that is the host's affair:
    /// its runtime may have no timer.
    const fn patience(self) -> Option<Duration> {
        match self {
            Self::Own(_) => Some(Duration::from_secs(10)),
            Self::Merged => None,
        }
    }
}

/// What all requests share, on whichever listener they come.
pub(crate) struct Surface {
    shared: Arc<Shared>,
    registry: prometheus::Registry,
    access: Access,
    seats: Seats,
    exports: Arc<Exports>,
    kept: Kept,
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
            exports: Exports::new(),
            kept: Kept::default(),
        })
    }

    /// Where it is written down what answering takes.
    pub(crate) fn account(&self) -> Arc<Account> {
        Arc::clone(&self.shared.account)
    }

    async fn tell(
        self: Arc<Self>,
        route: &'static Route,
        tells: &'static dyn Tells,
        uri: Uri,
        headers: HeaderMap,
    ) -> Response {
        let retention = self.shared.settings.get().retention;
        let asked = match Asked::parse(&uri, route.parameters, retention) {
            Ok(asked) => asked,
            Err(problem) => return problem.into_response(),
        };
        self.run(move |surface| tells.tell(surface, &asked, &headers))
            .await
    }

    async fn change(
        self: Arc<Self>,
        route: &'static Route,
        changes: &'static dyn Changes,
        guard: Arc<Guard>,
        place: Place,
        request: Request<Body>,
    ) -> Response {
        let (parts, body) = request.into_parts();
        let asked = || {
            guard.check_change(&parts.uri, &parts.headers)?;
            body::check_type(&parts.headers)?;
            Asked::parse(&parts.uri, route.parameters, Duration::ZERO)
        };
        if let Err(problem) = asked() {
            return problem.into_response();
        }
        match body::read(body, place.patience()).await {
            Ok(body) => {
                self.run(move |surface| changes.change(surface, &body))
                    .await
            }
            Err(problem) => problem.into_response(),
        }
    }

    /// Answers by `work` when it is its turn.
    async fn run(
        self: Arc<Self>,
        work: impl FnOnce(&Self) -> Result<Response, Problem> + Send + 'static,
    ) -> Response {
        let surface = Arc::clone(&self);
        let metered = move || {
            let begun = thread_cpu();
            let answer = work(&surface);
            if let Some((begun, ended)) = begun.zip(thread_cpu()) {
                let account = &surface.shared.account;
                account.add_cpu(Work::Answer, ended.saturating_sub(begun));
            }
            answer
        };
        match self.seats.run(metered).await {
            Ok(answer) => answer.into_response(),
            Err(refused) => refusal(&refused).into_response(),
        }
    }
}

/// The routes of `surface`, as they are at `place`.
pub(crate) fn router(surface: &Arc<Surface>, place: Place) -> Router {
    let access = &surface.access;
    let guarded = |router: Router<Arc<Surface>>, hosts: Hosts| {
        let guard = Arc::new(Guard::new(access, hosts, place));
        router.layer(middleware::from_fn_with_state(guard, pass))
    };
    let mut performance = Router::new();
    let mut metrics = Router::new();
    for path in paths() {
        if path == METRICS {
            metrics = metrics.route(path, answers(path, place));
        } else {
            performance = performance.route(path, answers(path, place));
        }
    }
    performance = performance.route("/performance/{*unknown}", any(not_found));
    if place != Place::Merged {
        performance = performance.fallback(not_found);
    }
    // A scraper addresses its target however it was discovered, and is no browser: Prometheus may
    // use any name.
    guarded(performance, Hosts::at(place, access))
        .merge(guarded(metrics, Hosts::any()))
        .with_state(Arc::clone(surface))
}

/// What answers at `path`: whatever is in the table, and a problem for any other method.
fn answers(path: &'static str, place: Place) -> MethodRouter<Arc<Surface>> {
    let here = || ROUTES.iter().filter(move |route| route.path == path);
    let mut router = MethodRouter::new();
    for route in here() {
        router = match route.action {
            Action::Get(tells) => router.get(
                move |State(surface): State<Arc<Surface>>, uri: Uri, headers: HeaderMap| {
                    surface.tell(route, tells, uri, headers)
                },
            ),
            Action::Post(changes) => router.post(
                move |State(surface): State<Arc<Surface>>,
                      Extension(guard): Extension<Arc<Guard>>,
                      request: Request<Body>| {
                    surface.change(route, changes, guard, place, request)
                },
            ),
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
async fn pass(State(guard): State<Arc<Guard>>, mut request: Request<Body>, next: Next) -> Response {
    let mut response = match guard.check(request.uri(), request.headers()) {
        Ok(()) => {
            request.extensions_mut().insert(guard);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in MARKS {
        headers.insert(name, HeaderValue::from_static(value));
    }
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
