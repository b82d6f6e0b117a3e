//! A request from its arrival to the end of its response: what is kept of it, and how it ends.

use super::{
    Tracing,
    trace::{self, Shown},
};
use crate::{
    core::{
        error_type,
        labels::Label,
        measurement::{Kind, Measurement, Method},
        record::id_of,
        recorder::Recorder,
        trace_link::TraceLink,
    },
    event_type::PerformanceEventType,
    names,
};
use axum::{
    body::{Body, Bytes},
    extract::MatchedPath,
};
use http::{HeaderMap, Request, StatusCode, header, uri::Authority};
use http_body::{Body as _, Frame, SizeHint};
use opentelemetry::Context as OtelContext;
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};
use tracing::{Span, field::Empty};

/// A request that is being answered. Dropped before its end, it was cancelled.
#[derive(Debug)]
pub(super) struct OpenRequest {
    recorder: Arc<Recorder>,
    /// Its number among the open operations, if there was room.
    key: Option<u64>,
    span: Span,
    /// What is to be around it where it is no span of a trace itself: where the trace is not
    /// sampled, or a filter of the host disables the span.
    around: Option<OtelContext>,
    request_size: RequestSize,
    response_size: u64,
    status: Option<StatusCode>,
    /// The span is in this trace, if it is sampled; known from when it is first entered.
    trace: Option<TraceLink>,
    /// The span tells its trace.
    in_logs: bool,
    /// It was entered.
    entered: bool,
    /// What the response says the request is known by.
    request_id: Option<Box<str>>,
    /// What is below runs: if this is still so at the end, it panicked.
    running: bool,
    ended: bool,
}

#[derive(Debug)]
enum RequestSize {
    Known(u64),
    Counting {
        read: Arc<ReadSoFar>,
        declared: Option<u64>,
    },
}

/// What has been read of a request's body.
#[derive(Debug, Default)]
struct ReadSoFar {
    bytes: AtomicU64,
    /// Nothing follows: it was read to its end, or broke.
    ended: AtomicBool,
}

impl OpenRequest {
    /// The request has arrived.
    pub(super) fn begin(
        recorder: &Arc<Recorder>,
        request: &Request<Body>,
        tracing: Tracing,
    ) -> Self {
        let route = request.extensions().get::<MatchedPath>();
        let route = route.map(MatchedPath::as_str);
        let method = Method::from_text(request.method().as_str());
        let mut measurement = Measurement::new(Kind::Operation, PerformanceEventType::RequestEnd);
        measurement.method = Some(method);
        measurement.endpoint = route.map_or(Label::NONE, |r| recorder.labels.endpoints.label(r));
        measurement.set_request_id(request_id(request.headers()));
        let key = recorder.begin(measurement, true);
        recorder.active_requests.fetch_add(1, Ordering::Relaxed);

        let around = tracing
            .sampling
            .and_then(|sampling| trace::context_for(request.headers(), sampling));
        let _around = around.clone().map(OtelContext::attach);
        let shown = match tracing.sampling {
            Some(_) => Shown::of(request, route, method),
            None => Shown::default(),
        };
        // Its target and first field are those of `names`, which macros cannot take.
        let span = tracing::info_span!(
            target: "aimux_otel::http",
            "http.server.request",
            aimux.http_operation = key,
            otel.kind = "server",
            otel.name = shown.name,
            http.request.method = method.text(),
            http.request.method_original = shown.method_original,
            http.route = route,
            url.scheme = shown.scheme,
            url.path = shown.path,
            server.address = shown.address.as_ref().map(Authority::host),
            server.port = shown.address.as_ref().and_then(Authority::port_u16),
            network.protocol.version = shown.version,
            http.response.status_code = Empty,
            error.type = Empty,
            otel.status_code = Empty,
            trace_id = Empty,
        );
        Self {
            recorder: Arc::clone(recorder),
            key,
            span,
            around,
            request_size: RequestSize::Known(0),
            response_size: 0,
            status: None,
            trace: None,
            in_logs: tracing.in_logs,
            entered: false,
            request_id: None,
            running: false,
            ended: false,
        }
    }

    pub(super) const fn key(&self) -> Option<u64> {
        self.key
    }

    /// Runs what is below, inside the span.
    pub(super) fn run<R>(&mut self, below: impl FnOnce() -> R) -> R {
        self.running = true;
        let first = !std::mem::replace(&mut self.entered, true);
        if first && self.in_logs {
            self.tell_trace();
        }
        let result = {
            let _around = self.around.clone().map(OtelContext::attach);
            let (trace, current) = (&mut self.trace, self.recorder.current_trace);
            self.span.in_scope(|| {
                if first {
                    // Only what is current tells which span of which trace it has become.
                    *trace = current();
                }
                below()
            })
        };
        if first && self.trace.is_some() && !self.span.is_disabled() {
            // From now on it brings its own context with it.
            self.around = None;
        }
        self.running = false;
        result
    }

    /// Tells the host's log, before anything below says something.
    fn tell_trace(&self) {
        let _around = self.around.clone().map(OtelContext::attach);
        let trace = self.span.in_scope(self.recorder.current_trace);
        if let Some(trace_id) = trace::id_of(trace, self.around.as_ref()) {
            self.span.record("trace_id", trace_id);
        }
    }

    /// Drops what is below, inside the span.
    pub(super) fn drop_below(&self, below: impl FnOnce()) {
        let _around = self.around.clone().map(OtelContext::attach);
        self.span.in_scope(below);
    }

    /// The head of the response is there.
    pub(super) fn answered(&mut self, status: StatusCode, headers: &HeaderMap) {
        self.status = Some(status);
        self.request_id = request_id(headers);
        self.span
            .record(names::HTTP_RESPONSE_STATUS_CODE, status.as_u16());
    }

    /// So much more of the response's body has passed.
    pub(super) fn passed(&mut self, bytes: usize) {
        self.response_size = self.response_size.saturating_add(bytes as u64);
    }

    /// How much of the response's body has passed.
    pub(super) const fn response_size(&self) -> u64 {
        self.response_size
    }

    /// It ends now, and with `error` if that is given; only the first end counts.
    pub(super) fn end(&mut self, error: Option<&'static str>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        self.recorder
            .active_requests
            .fetch_sub(1, Ordering::Relaxed);
        let status = self.status.map(|status| status.as_u16());
        let server_error = status.filter(|status| *status >= 500);
        if let Some(shown) = error.or_else(|| error_type::of_status(server_error?)) {
            self.span.record(names::ERROR_TYPE, shown);
            self.span.record("otel.status_code", "ERROR");
        }
        if let Some(key) = self.key {
            self.recorder.end(key, |operation| {
                operation.endpoint = operation.endpoint.or(Label::OTHER);
                operation.status = status.or(operation.status);
                operation.error = error.or(operation.error);
                operation.request_size = self.recorder.count_of(self.request_size.bytes());
                operation.response_size = self.recorder.count_of(self.response_size);
                operation.set_trace(self.trace);
                operation.set_request_id(self.request_id.take());
            });
        }
        self.span = Span::none();
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        let panicked = self.running || std::thread::panicking();
        self.end(Some(if panicked {
            error_type::INTERNAL
        } else {
            error_type::CANCELLED
        }));
    }
}

impl RequestSize {
    fn bytes(&self) -> u64 {
        match self {
            Self::Known(bytes) => *bytes,
            Self::Counting { read, declared } => {
                let bytes = read.bytes.load(Ordering::Relaxed);
                match declared {
                    Some(declared) if !read.ended.load(Ordering::Relaxed) => *declared,
                    _ => bytes,
                }
            }
        }
    }
}

/// What an `x-request-id` header says.
fn request_id(headers: &HeaderMap) -> Option<Box<str>> {
    let id = headers.get(names::X_REQUEST_ID)?.to_str().ok()?;
    (!id.is_empty()).then(|| id_of(id))
}

/// Counts what is read of the request's body from now on.
pub(super) fn count_request(
    request: Request<Body>,
    mut open: OpenRequest,
) -> (Request<Body>, OpenRequest) {
    if request.body().is_end_stream() {
        return (request, open);
    }
    let read = Arc::<ReadSoFar>::default();
    let exact = request.body().size_hint().exact();
    open.request_size = RequestSize::Counting {
        read: Arc::clone(&read),
        declared: exact.or_else(|| content_length(request.headers())),
    };
    let request = request.map(|inner| Body::new(CountedBody { inner, read }));
    (request, open)
}

/// What a `Content-Length` header says.
pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// A request's body that counts what is read of it.
#[derive(Debug)]
struct CountedBody {
    inner: Body,
    read: Arc<ReadSoFar>,
}

impl http_body::Body for CountedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                self.read.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
            }
            Some(Err(_)) | None => self.read.ended.store(true, Ordering::Relaxed),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::Clock, config::Config};

    /// The macro that makes the span takes no constants.
    #[test]
    fn the_span_bears_the_names_by_which_the_layer_knows_it() {
        let recorder = Arc::new(Recorder::new(Clock::start(), 1, &Config::default()));
        let request = Request::new(Body::empty());
        let open = tracing::subscriber::with_default(tracing_subscriber::registry(), || {
            OpenRequest::begin(
                &recorder,
                &request,
                Tracing {
                    sampling: None,
                    in_logs: false,
                },
            )
        });
        let metadata = open.span.metadata().unwrap();
        assert_eq!(metadata.target(), names::HTTP_TARGET);
        assert_eq!(*metadata.level(), tracing::Level::INFO);
        for name in [
            names::HTTP_OPERATION,
            names::HTTP_REQUEST_METHOD,
            names::HTTP_ROUTE,
            names::HTTP_RESPONSE_STATUS_CODE,
            names::ERROR_TYPE,
            "otel.kind",
            "otel.name",
            "otel.status_code",
        ] {
            assert!(metadata.fields().field(name).is_some(), "{name}");
        }
    }
}
