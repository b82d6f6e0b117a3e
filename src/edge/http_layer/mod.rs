//! The tower layer that measures the endpoints of the host's own axum app.

mod future;
mod request;
mod response;
mod span_body;
mod trace;

use crate::{
    config::TraceSampling,
    core::{operation_handle::OperationHandle, recorder::Recorder},
};
use axum::{body::Body, extract::MatchedPath};
pub use future::HttpFuture;
use http::{Method, Request, Response};
use request::{OpenRequest, count_request};
pub use response::MeasuredBody;
pub use span_body::SpanBody;
use std::{
    sync::Arc,
    task::{Context, Poll},
};
use tower_layer::Layer;
use tower_service::Service;

/// A tower [`Layer`] that measures each request as one operation: its route template, method,
/// status, the sizes of both bodies, and the time until the response's body has ended.
///
/// ```
/// use aimux_otel::PerformanceMonitor;
/// use axum::{Router, routing::get};
///
/// # fn main() -> Result<(), aimux_otel::BuildError> {
/// let monitor = PerformanceMonitor::builder().build()?;
/// let app: Router = Router::new()
///     .route("/v1/models/{id}", get(async || "a model"))
///     .layer(monitor.http_layer());
/// # drop(app); Ok(()) }
/// ```
///
/// Add it with [`Router::layer`](axum::Router::layer), after the routes and outside of other
/// layers: there axum has matched the route already. The endpoint is the route's template, never
/// the path that was asked for; what matched no route, and all of an app that is wrapped as a
/// whole, is the endpoint `_OTHER`. Where it is applied twice, the request is measured once.
///
/// An operation fails on a status of 400 or more, or with one of these error types:
/// - `cancelled`: the client hung up, before the response or in the middle of its body;
/// - `stream_broken`: the response's body failed;
/// - `internal`: what is below panicked or gave an error instead of a response.
///
/// A body has ended when it says so, when as much as `Content-Length` has passed, or at once where
/// there is none (`HEAD`, 204, 304, an upgrade). A layer outside of this one that drops a body
/// unread looks like a client that hangs up. The request's size is what was read of it, or its
/// `Content-Length` if it was not read to the end.
///
/// While a request is open, so is a span of the target `aimux_otel::http` around the handler and
/// around each poll of the body. Spans below find their operation by it: one with an `endpoint`
/// tells the operation what is not known of it, such as an error type, and is not a second one. If
/// a filter of the host disables that target, requests are measured still, but such a span counts
/// as another operation.
///
/// If traces are exported, this span continues the trace of a valid `traceparent` header. Whether
/// it is sampled is decided before it exists, by
/// [`trace_sampling`](crate::MonitorBuilder::trace_sampling): a request that is not has no spans in
/// OpenTelemetry, and its trace goes on, unsampled, in `opentelemetry::Context::current()` around
/// the handler. Where a filter disables this span, a sampled trace goes on without it.
#[derive(Debug, Clone)]
pub struct HttpLayer {
    recorder: Arc<Recorder>,
    tracing: Tracing,
}

/// How the layer has to do with traces.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tracing {
    /// How they are sampled, if they are exported, or told in the log.
    pub(crate) sampling: Option<TraceSampling>,
    /// The span of a request tells its trace, for the host's log.
    pub(crate) in_logs: bool,
}

impl HttpLayer {
    pub(crate) const fn new(recorder: Arc<Recorder>, tracing: Tracing) -> Self {
        Self { recorder, tracing }
    }
}

impl<S> Layer<S> for HttpLayer {
    type Service = HttpService<S>;

    fn layer(&self, inner: S) -> HttpService<S> {
        HttpService {
            inner,
            layer: self.clone(),
        }
    }
}

/// What [`HttpLayer`] makes of a service.
#[derive(Debug, Clone)]
pub struct HttpService<S> {
    inner: S,
    layer: HttpLayer,
}

impl<S, B> Service<Request<Body>> for HttpService<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    B: http_body::Body,
{
    type Response = Response<MeasuredBody<B>>;
    type Error = S::Error;
    type Future = HttpFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let HttpLayer { recorder, tracing } = &self.layer;
        if is_measured_already(&request, recorder) {
            return HttpFuture::new(self.inner.call(request), None, false);
        }
        let open = OpenRequest::begin(recorder, &request, *tracing);
        // It also tells the same layer further in that the request is measured already.
        request.extensions_mut().insert(OperationHandle {
            recorder: Arc::clone(recorder),
            key: open.key(),
        });
        let (request, mut open) = count_request(request, open);
        let asks_for_no_body = request.method() == Method::HEAD;
        let inner = open.run(|| self.inner.call(request));
        HttpFuture::new(inner, Some(open), asks_for_no_body)
    }
}

/// Whether the same layer further out measures this request; that one may not know its route.
fn is_measured_already(request: &Request<Body>, recorder: &Arc<Recorder>) -> bool {
    let around = request.extensions().get::<OperationHandle>();
    let Some(around) = around.filter(|around| Arc::ptr_eq(&around.recorder, recorder)) else {
        return false;
    };
    if let (Some(key), Some(route)) = (around.key, request.extensions().get::<MatchedPath>()) {
        let route = recorder.labels.endpoints.label(route.as_str());
        recorder.operations.with(key, |open| {
            let endpoint = &mut open.measurement.endpoint;
            *endpoint = endpoint.or(route);
        });
    }
    true
}
