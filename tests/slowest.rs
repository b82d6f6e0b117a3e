//! From a number to the request: the slowest and the last failed ones with their traces, and
//! exemplars, over real HTTP.

#![cfg(feature = "server")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]

#[path = "http_layer/app.rs"]
mod app;
#[path = "support/exported.rs"]
mod exported;

use aimux_otel::{
    MonitorBuilder, OperationHandle, PerformanceEvent, PerformanceEventType, PerformanceMonitor,
    RequestDetail, TraceSampling, Window,
};
use app::{App, within};
use axum::{
    Extension, Router,
    http::{HeaderMap, StatusCode},
    routing::get,
};
use exported::Exported;
use opentelemetry::{
    Context,
    trace::{
        SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer,
        TracerProvider as _,
    },
};
use reqwest::header;
use serde_json::Value;
use std::{cell::RefCell, time::Duration};
use tracing::instrument;
use tracing_subscriber::layer::SubscriberExt;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const MOMENT: Duration = Duration::from_millis(5);

fn builder() -> MonitorBuilder {
    PerformanceMonitor::builder().collection_interval(Duration::from_secs(3_600))
}

fn only(requests: &[RequestDetail]) -> &RequestDetail {
    assert_eq!(requests.len(), 1, "{requests:#?}");
    &requests[0]
}

/// The only call to a provider.
fn call(monitor: &PerformanceMonitor) -> RequestDetail {
    monitor.collect();
    let view = monitor.slowest(Window::SinceStart).unwrap();
    only(&view.providers["p"].all.slowest).clone()
}

async fn answer(url: &str, accept: &str) -> (String, String) {
    let request = reqwest::Client::new().get(url).header("accept", accept);
    let answer = within(request.send()).await.unwrap();
    assert_eq!(answer.headers()[header::VARY], "accept");
    let content_type = answer.headers()[header::CONTENT_TYPE].to_str().unwrap();
    (
        content_type.to_owned(),
        within(answer.text()).await.unwrap(),
    )
}

async fn chat(Extension(operation): Extension<OperationHandle>) -> StatusCode {
    let mut call = operation.provider_call("p", "m");
    let mut headers = HeaderMap::new();
    headers.insert("request-id", "req_of_the_provider".parse().unwrap());
    call.head(StatusCode::BAD_GATEWAY, &headers);
    call.finish();
    StatusCode::BAD_GATEWAY
}

#[tokio::test]
async fn a_request_is_found_in_its_trace() {
    let (exported, tracer_provider) = Exported::new();
    let monitor = builder()
        .tracer_provider(tracer_provider.clone())
        .serve("127.0.0.1:0".parse().unwrap())
        .build()
        .unwrap();
    let subscriber = tracing_subscriber::registry().with(monitor.layer());
    let _watching = tracing::subscriber::set_default(subscriber);
    let routes = Router::new().route("/chat", get(chat));
    let app = App::serve(&monitor, routes.layer(monitor.http_layer())).await;
    let request = reqwest::Client::new().get(app.url("/chat"));
    let request = request.header("x-request-id", "of-the-client");
    within(request.send()).await.unwrap();
    app.finish().await;
    let spans = exported.spans();
    let [client, server] = &spans[..] else {
        panic!("{spans:?}");
    };
    let trace = server.span_context.trace_id().to_string();

    let base = format!("http://{}", monitor.local_addr().unwrap());
    let url = format!("{base}/performance/slowest?window=5m");
    let view: Value = within(reqwest::get(url))
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(view["complete_after"], Value::Null);
    let operation = &view["endpoints"]["/chat"]["slowest"][0];
    assert_eq!(&view["endpoints"]["/chat"]["failed"][0], operation);
    assert_eq!(operation["trace_id"], trace);
    assert_eq!(
        operation["span_id"],
        server.span_context.span_id().to_string()
    );
    assert_eq!(operation["request_id"], "of-the-client");
    assert_eq!(operation["provider_request_id"], Value::Null);
    assert_eq!(operation["status_code"], 502);
    assert_eq!(operation["error_type"], "502");
    assert_eq!(operation["method"], "GET");
    let attempt = &view["providers"]["p"]["models"]["m"]["slowest"][0];
    assert_eq!(&view["providers"]["p"]["failed"][0], attempt);
    assert_eq!(attempt["trace_id"], trace);
    assert_eq!(
        attempt["span_id"],
        client.span_context.span_id().to_string()
    );
    assert_eq!(attempt["request_id"], "of-the-client");
    assert_eq!(attempt["provider_request_id"], "req_of_the_provider");
    assert!(attempt["duration_ms"].as_f64() < operation["duration_ms"].as_f64());
    let events = monitor.recent_events();
    assert_eq!(events[0].metadata["trace_id"], trace);
    assert_eq!(events[0].id, attempt["id"]);

    let metrics = format!("{base}/metrics");
    let (content_type, text) = answer(&metrics, "text/plain").await;
    assert_eq!(content_type, "text/plain; version=0.0.4; charset=utf-8");
    assert!(!text.contains(&trace) && !text.contains("# EOF"));
    let (content_type, text) = answer(&metrics, "application/openmetrics-text").await;
    assert_eq!(content_type, OPEN_METRICS);
    assert!(text.ends_with("\n# EOF\n"));
    for (family, span) in [
        ("gen_ai_client_operation_duration_seconds", client),
        ("http_server_request_duration_seconds", server),
    ] {
        let span = span.span_context.span_id();
        let exemplar = format!(" # {{span_id=\"{span}\",trace_id=\"{trace}\"}} ");
        let begins = format!("{family}_bucket{{error_type=\"502\",");
        let marked = text.lines().filter(|line| line.contains(&exemplar));
        let marked: Vec<&str> = marked.filter(|line| line.starts_with(&begins)).collect();
        assert_eq!(marked.len(), 1, "{family}: {text}");
    }
}

#[instrument(skip_all, fields(provider = "p", model = "m"))]
fn attempt() {}

#[instrument(skip_all, fields(endpoint = "/chat", request_id = id))]
fn operation(id: u64) {
    attempt();
}

/// What spans recorded that were sampled so.
fn spanned(sampling: TraceSampling) -> (RequestDetail, RequestDetail, Exported) {
    let (exported, tracer_provider) = Exported::new();
    let builder = builder().tracer_provider(tracer_provider);
    let monitor = builder.trace_sampling(sampling).build().unwrap();
    let subscriber = tracing_subscriber::registry().with(monitor.layer());
    // Larger than a count may be.
    tracing::subscriber::with_default(subscriber, || operation(1_u64 << 60));
    let attempt = call(&monitor);
    let view = monitor.slowest(Window::SinceStart).unwrap();
    let operation = only(&view.endpoints["/chat"].slowest).clone();
    (attempt, operation, exported)
}

#[test]
fn a_span_is_found_in_its_trace_if_that_is_sampled() {
    let (attempt, operation, exported) = spanned(TraceSampling::AlwaysOn);
    let spans = exported.spans();
    let [inner, outer] = &spans[..] else {
        panic!("{spans:?}");
    };
    for (request, span) in [(&attempt, inner), (&operation, outer)] {
        let span = &span.span_context;
        assert_eq!(request.trace_id, Some(span.trace_id().to_string()));
        assert_eq!(request.span_id, Some(span.span_id().to_string()));
        assert_eq!(request.request_id, Some((1_u64 << 60).to_string()));
    }
    let (attempt, operation, exported) = spanned(TraceSampling::AlwaysOff);
    assert!(exported.spans().is_empty());
    assert_eq!((attempt.trace_id, operation.trace_id), (None, None));
    assert_eq!(attempt.request_id, Some((1_u64 << 60).to_string()));
}

#[test]
fn what_is_recorded_by_hand_is_in_the_hosts_own_trace() {
    let (_, tracer_provider) = Exported::new();
    let record: [fn(&PerformanceMonitor); 4] = [
        |monitor| monitor.record_provider_request("p", "m", MOMENT, true, "", 0.0),
        |monitor| monitor.provider_call("p", "m").finish(),
        |monitor| {
            let id = monitor.record_request_start("id", "/chat", "GET", "p", "m");
            assert!(monitor.record_request_end(id, true, 200, 0, "", 0.0));
        },
        |monitor| {
            let event_type = PerformanceEventType::ProviderEnd;
            let event = PerformanceEvent::new("", event_type, "provider", "chat");
            let event = event.with_duration(MOMENT).with_metadata("provider", "p");
            monitor.record_event(event);
        },
    ];
    for record in record {
        let monitor = builder().build().unwrap();
        let tracer = tracer_provider.tracer("the host's");
        let trace = tracer.in_span("work", |context| {
            record(&monitor);
            context.span().span_context().trace_id().to_string()
        });
        assert_eq!(call(&monitor).trace_id, Some(trace));

        let monitor = builder().build().unwrap();
        record(&monitor);
        assert_eq!(call(&monitor).trace_id, None, "there is no span around it");

        let monitor = builder().build().unwrap();
        let unsampled = SpanContext::new(
            TraceId::from(1),
            SpanId::from(1),
            TraceFlags::default(),
            false,
            TraceState::default(),
        );
        let around = Context::new().with_remote_span_context(unsampled);
        let _entered = around.attach();
        record(&monitor);
        assert_eq!(call(&monitor).trace_id, None, "it is not sampled");
    }
}

#[test]
fn an_event_names_its_trace_itself() {
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let record = |trace_id: &str, span_id: &str| {
        let monitor = builder().build().unwrap();
        let event_type = PerformanceEventType::ProviderEnd;
        let event = PerformanceEvent::new("an-event", event_type, "provider", "chat")
            .with_duration(MOMENT)
            .with_metadata("provider", "p")
            .with_metadata("trace_id", trace_id)
            .with_metadata("span_id", span_id)
            .with_metadata("provider_request_id", "x".repeat(500));
        monitor.record_event(event);
        call(&monitor)
    };
    let call = record(trace, "b7ad6b7169203331");
    assert_eq!(call.trace_id.as_deref(), Some(trace));
    assert_eq!(call.span_id.as_deref(), Some("b7ad6b7169203331"));
    assert_eq!(call.provider_request_id.unwrap().len(), 128);
    assert_eq!(
        (&*call.id, call.request_id.as_deref()),
        ("an-event", Some("an-event"))
    );
    let call = record("none", "b7ad6b7169203331");
    assert_eq!(call.trace_id, None);
}

#[test]
fn a_guard_is_told_by_what_the_request_is_known() {
    let monitor = builder().build().unwrap();
    let mut operation = monitor.operation("/chat", "POST");
    operation.request_id("told");
    operation.provider_call("p", "m").finish();
    operation.finish();
    assert_eq!(call(&monitor).request_id.as_deref(), Some("told"));
}

#[test]
fn the_few_are_in_order() {
    let monitor = builder().build().unwrap();
    let record = |provider: &str, millis| {
        let took = Duration::from_millis(millis);
        let failed = millis % 2 == 0;
        let error = if failed { "timeout" } else { "" };
        monitor.record_provider_request(provider, "m", took, !failed, error, 0.0);
    };
    let millis = |requests: &[RequestDetail]| {
        let millis = requests.iter().map(|request| request.duration_ms as u64);
        millis.collect::<Vec<u64>>()
    };
    for millis in [9, 2, 4, 7, 1, 8] {
        record("a", millis);
    }
    monitor.collect();
    for millis in [3, 6, 5] {
        record("a", millis);
    }
    record("b", 1);
    monitor.collect();
    let all = monitor.slowest(Window::SinceStart).unwrap();
    assert_eq!(millis(&all.providers["a"].all.slowest), [9, 8, 7, 6, 5]);
    assert_eq!(millis(&all.providers["a"].models["m"].failed), [6, 8, 4, 2]);
    assert_eq!(all.providers["b"].models["m"].slowest.len(), 1);
}

#[tokio::test]
async fn one_provider_or_one_endpoint_can_be_asked_for() {
    let monitor = builder()
        .provider("configured", ["m"])
        .serve("127.0.0.1:0".parse().unwrap())
        .build()
        .unwrap();
    monitor.record_provider_request("a", "m", MOMENT, true, "", 0.0);
    monitor.record_provider_request("b", "m", MOMENT, true, "", 0.0);
    monitor.operation("/chat", "POST").finish();
    monitor.collect();
    let base = format!(
        "http://{}/performance/slowest",
        monitor.local_addr().unwrap()
    );
    let ask = async |query: &str| {
        let answer = within(reqwest::get(format!("{base}{query}")))
            .await
            .unwrap();
        let status = answer.status().as_u16();
        (status, answer.json::<Value>().await.unwrap())
    };
    let names = |view: &Value| {
        let keys = |map: &Value| map.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        [keys(&view["providers"]), keys(&view["endpoints"])].concat()
    };
    assert_eq!(names(&ask("").await.1), ["a", "b", "/chat"]);
    assert_eq!(names(&ask("?provider=b").await.1), ["b"]);
    assert_eq!(names(&ask("?endpoint=/chat").await.1), ["/chat"]);
    let both = ask("?endpoint=/chat&provider=a").await.1;
    assert_eq!(names(&both), ["a", "/chat"]);
    assert_eq!(ask("?provider=configured").await.0, 200);
    for (query, field) in [
        ("?provider=nobody", "provider"),
        ("?endpoint=/nowhere", "endpoint"),
    ] {
        let (status, problem) = ask(query).await;
        assert_eq!((status, &problem["field"]), (404, &Value::from(field)));
        assert!(!problem["allowed"].as_array().unwrap().is_empty());
    }
    assert_eq!(ask("?window=25h").await.0, 400);
}

/// Records when its thread ends.
struct AtTheEnd(PerformanceMonitor);

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        self.0
            .record_provider_request("p", "m", MOMENT, true, "", 0.0);
    }
}

thread_local! {
    static LAST: RefCell<Option<AtTheEnd>> = const { RefCell::new(None) };
}

/// What OpenTelemetry knows of a thread is gone before what the thread made first.
#[test]
fn recording_while_a_thread_ends_does_not_panic() {
    let monitor = builder().build().unwrap();
    let at_the_end = AtTheEnd(monitor.clone());
    let ended = std::thread::spawn(move || {
        LAST.set(Some(at_the_end));
        LAST.with_borrow(|last| {
            let AtTheEnd(monitor) = last.as_ref().unwrap();
            monitor.record_provider_request("p", "m", MOMENT, true, "", 0.0);
        });
    });
    ended.join().unwrap();
    monitor.collect();
    assert_eq!(monitor.health().counted, 2);
}
