//! The trace that a caller began goes on, and is sampled as the caller decided.

use crate::{
    app::{App, within},
    exported::Exported,
};
use aimux_otel::{PerformanceMonitor, TraceSampling};
use axum::{
    Extension, Router,
    http::{HeaderMap, HeaderValue},
    routing::{any, get},
};
use opentelemetry::{
    propagation::TextMapPropagator,
    trace::{SpanKind, Status},
};
use opentelemetry_sdk::{propagation::TraceContextPropagator, trace::SpanData};
use std::{
    collections::HashMap,
    io::Write,
    sync::{Arc, Mutex},
    time::Duration,
};
use tracing::instrument;
use tracing_subscriber::{EnvFilter, layer::SubscriberExt};

#[instrument]
async fn answer() -> axum::http::StatusCode {
    axum::http::StatusCode::BAD_GATEWAY
}

const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// The spans exported of one request with this header.
async fn exported(traceparent: Option<&str>) -> Vec<SpanData> {
    let routes = Router::new().route("/items/{id}", get(answer));
    asked(
        TraceSampling::ParentBasedRatio(1.0),
        None,
        routes,
        traceparent,
    )
    .await
}

/// The spans exported of one request for `/items/7` of `routes`, with this header, while only what
/// `filter` lets through exists at all.
async fn asked(
    sampling: TraceSampling,
    filter: Option<&str>,
    routes: Router,
    traceparent: Option<&str>,
) -> Vec<SpanData> {
    let (exported, tracer_provider) = Exported::new();
    let monitor = PerformanceMonitor::builder()
        .collection_interval(Duration::from_secs(3_600))
        .tracer_provider(tracer_provider.clone())
        .trace_sampling(sampling)
        .build()
        .unwrap();
    let filter = filter.map(|filter| filter.parse::<EnvFilter>().unwrap());
    let subscriber = tracing_subscriber::registry()
        .with(filter)
        .with(monitor.layer());
    let _watching = tracing::subscriber::set_default(subscriber);
    let routes = routes.layer(Extension(monitor.clone()));
    let app = App::serve(&monitor, routes.layer(monitor.http_layer())).await;
    let mut request = reqwest::Client::new().get(app.url("/items/7?key=a-secret"));
    if let Some(traceparent) = traceparent {
        request = request.header("traceparent", traceparent);
    }
    within(request.send()).await.unwrap();
    let view = app.finish().await;
    assert_eq!(view.aggregated.total_operations, 1, "whatever is sampled");
    tracer_provider.force_flush().unwrap();
    exported.spans()
}

/// What the one who is called next is told: by a call of ours, and by any code that knows only
/// OpenTelemetry.
type Told = Arc<Mutex<Vec<(String, String)>>>;

/// A handler that calls somebody else.
fn calling(told: &Told) -> Router {
    let told = Arc::clone(told);
    let handler = async move |Extension(monitor): Extension<PerformanceMonitor>| {
        // It waits, so that more than one poll is needed.
        tokio::task::yield_now().await;
        let mut call = monitor.provider_call("openai", "gpt-4o-mini");
        let mut ours = HeaderMap::new();
        call.inject_trace(&mut ours);
        call.finish();
        let mut theirs = HashMap::new();
        TraceContextPropagator::new().inject(&mut theirs);
        let text = |header: Option<&HeaderValue>| {
            header.map_or_else(String::new, |h| h.to_str().unwrap().to_owned())
        };
        let theirs = theirs.remove("traceparent").unwrap_or_default();
        let both = (text(ours.get("traceparent")), theirs);
        told.lock().unwrap().push(both);
    };
    Router::new().route("/items/{id}", get(handler))
}

#[tokio::test]
async fn a_request_goes_on_with_the_trace_of_its_caller() {
    let spans = exported(Some(SAMPLED)).await;
    let [inner, outer] = &spans[..] else {
        panic!("{spans:?}");
    };
    let trace = outer.span_context.trace_id().to_string();
    assert_eq!(trace, TRACE);
    assert_eq!(outer.parent_span_id.to_string(), "b7ad6b7169203331");
    assert_eq!(outer.name, "GET /items/{id}");
    assert_eq!(outer.span_kind, SpanKind::Server);
    assert!(matches!(outer.status, Status::Error { .. }));
    let attribute = |name: &str| {
        let found = outer.attributes.iter().find(|a| a.key.as_str() == name);
        found.map(|a| a.value.to_string())
    };
    for (name, value) in [
        ("http.request.method", "GET"),
        ("http.route", "/items/{id}"),
        ("http.response.status_code", "502"),
        ("error.type", "502"),
        ("url.scheme", "http"),
        ("url.path", "/items/7"),
        ("server.address", "127.0.0.1"),
        ("network.protocol.version", "1.1"),
    ] {
        assert_eq!(attribute(name).as_deref(), Some(value), "{name}");
    }
    assert!(attribute("server.port").is_some());
    assert!(
        !format!("{outer:?}").contains("a-secret"),
        "no query: {outer:?}"
    );
    assert_eq!(inner.name, "answer");
    assert_eq!(inner.parent_span_id, outer.span_context.span_id());
}

#[tokio::test]
async fn what_the_caller_did_not_sample_is_not_exported() {
    assert_eq!(exported(Some(UNSAMPLED)).await.len(), 0);
}

#[tokio::test]
async fn without_a_well_formed_header_a_new_trace_begins() {
    for header in [None, Some("00-nonsense-01")] {
        let spans = exported(header).await;
        assert_eq!(spans.len(), 2);
        let outer = &spans[1];
        assert_eq!(outer.name, "GET /items/{id}");
        assert_eq!(outer.parent_span_id, opentelemetry::trace::SpanId::INVALID);
    }
}

#[tokio::test]
async fn what_is_sampled_goes_on_at_whoever_is_called() {
    let told = Told::default();
    let sampling = TraceSampling::ParentBasedRatio(1.0);
    let spans = asked(sampling, None, calling(&told), Some(SAMPLED)).await;
    let [call, server] = &spans[..] else {
        panic!("{spans:?}");
    };
    assert_eq!(call.parent_span_id, server.span_context.span_id());
    let (ours, theirs) = told.lock().unwrap().remove(0);
    let header = |span: &SpanData| format!("00-{TRACE}-{}-01", span.span_context.span_id());
    assert_eq!(
        ours,
        header(call),
        "the call is the parent of what answers it"
    );
    assert_eq!(theirs, header(server));
}

#[tokio::test]
async fn what_the_caller_did_not_sample_keeps_its_trace_and_says_so_further_on() {
    let told = Told::default();
    let sampling = TraceSampling::ParentBasedRatio(1.0);
    let spans = asked(sampling, None, calling(&told), Some(UNSAMPLED)).await;
    assert_eq!(spans.len(), 0);
    let (ours, theirs) = told.lock().unwrap().remove(0);
    assert_eq!((&*ours, &*theirs), (UNSAMPLED, UNSAMPLED));
}

#[tokio::test]
async fn a_trace_that_begins_here_unsampled_has_an_id_all_the_same() {
    let told = Told::default();
    let sampling = TraceSampling::AlwaysOff;
    assert_eq!(asked(sampling, None, calling(&told), None).await.len(), 0);
    let (ours, theirs) = told.lock().unwrap().remove(0);
    assert_eq!(ours, theirs, "one trace");
    assert!(ours.len() == 55 && ours.ends_with("-00"), "{ours}");
    // The caller is not asked either.
    assert_eq!(
        asked(sampling, None, calling(&told), Some(SAMPLED))
            .await
            .len(),
        0
    );
    let (ours, _) = told.lock().unwrap().remove(0);
    assert_eq!(ours, UNSAMPLED);
}

#[tokio::test]
async fn a_ratio_takes_the_same_traces_wherever_it_decides() {
    let routes = || Router::new().route("/items/{id}", get(answer));
    // The lower 63 bits of a trace's id, shifted, are compared with the ratio.
    for (low, sampled) in [("0000000000000001", 2), ("ffffffffffffffff", 0)] {
        let header = format!("00-0af7651916cd43dd{low}-b7ad6b7169203331-00");
        let spans = asked(TraceSampling::Ratio(0.5), None, routes(), Some(&header)).await;
        assert_eq!(spans.len(), sampled, "{low}");
    }
}

#[tokio::test]
async fn a_trace_that_the_caller_sampled_is_not_lost_where_a_filter_disables_the_requests_span() {
    let filter = Some("info,aimux_otel::http=off");
    let routes = Router::new().route("/items/{id}", get(answer));
    let sampling = TraceSampling::ParentBasedRatio(0.0);
    let spans = asked(sampling, filter, routes, Some(SAMPLED)).await;
    let [inner] = &spans[..] else {
        panic!("{spans:?}");
    };
    assert_eq!(inner.span_context.trace_id().to_string(), TRACE);
    assert_eq!(inner.parent_span_id.to_string(), "b7ad6b7169203331");
}

#[tokio::test]
async fn a_method_that_nobody_knows_is_told_as_the_conventions_ask() {
    let (exported, tracer_provider) = Exported::new();
    let builder = PerformanceMonitor::builder().tracer_provider(tracer_provider.clone());
    let monitor = builder.build().unwrap();
    let subscriber = tracing_subscriber::registry().with(monitor.layer());
    let _watching = tracing::subscriber::set_default(subscriber);
    let routes = Router::new().route("/items", any(async || ()));
    let app = App::serve(&monitor, routes.layer(monitor.http_layer())).await;
    let method = reqwest::Method::from_bytes(b"BREW").unwrap();
    let request = reqwest::Client::new().request(method, app.url("/items"));
    within(request.send()).await.unwrap();
    app.finish().await;
    tracer_provider.force_flush().unwrap();
    let spans = exported.spans();
    assert_eq!(spans[0].name, "HTTP /items");
    let told = format!("{:?}", spans[0].attributes);
    assert!(told.contains("_OTHER") && told.contains("BREW"), "{told}");
}

/// What a `fmt` layer writes.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What the host logs while it answers one request with this header.
async fn logged(tell: bool, export: bool, traceparent: &str) -> String {
    let (_, tracer_provider) = Exported::new();
    let mut builder = PerformanceMonitor::builder().trace_ids_in_logs(tell);
    if export {
        builder = builder.tracer_provider(tracer_provider);
    }
    let monitor = builder.build().unwrap();
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::registry()
        .with(monitor.layer())
        .with(tracing_subscriber::fmt::layer().with_writer(move || writer.clone()));
    let _watching = tracing::subscriber::set_default(subscriber);
    let handler = async || tracing::info!("it is answered");
    let routes = Router::new().route("/items/{id}", get(handler));
    let app = App::serve(&monitor, routes.layer(monitor.http_layer())).await;
    let request = reqwest::Client::new().get(app.url("/items/7"));
    within(request.header("traceparent", traceparent).send())
        .await
        .unwrap();
    app.finish().await;
    let written = log.0.lock().unwrap().clone();
    let written = String::from_utf8(written).unwrap();
    let mut lines = written.lines();
    lines
        .find(|line| line.contains("it is answered"))
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn the_hosts_log_tells_the_trace_where_that_is_turned_on() {
    let told = format!("trace_id=\"{TRACE}\"");
    for (export, traceparent) in [(true, SAMPLED), (true, UNSAMPLED), (false, SAMPLED)] {
        let line = logged(true, export, traceparent).await;
        // Colours stand between the name and the value.
        let plain: String = line.split("\u{1b}[").fold(String::new(), |text, part| {
            text + part.split_once('m').map_or(part, |(_, rest)| rest)
        });
        assert!(plain.contains(&told), "{plain}");
    }
    assert!(!logged(false, true, SAMPLED).await.contains(TRACE));
}
