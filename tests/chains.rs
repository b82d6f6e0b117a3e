//! What an operation's attempts came to: how many, whether anybody could answer, and what the
//! gateway itself took.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use aimux_otel::{EndpointsView, PerformanceMonitor, ProvidersView, Window};
use serde_json::json;
use tracing::{Level, info_span, span};
use tracing_subscriber::layer::SubscriberExt;

fn monitor() -> PerformanceMonitor {
    PerformanceMonitor::builder().build().unwrap()
}

fn endpoints(monitor: &PerformanceMonitor) -> EndpointsView {
    monitor.collect();
    monitor.endpoints(Window::SinceStart).unwrap()
}

fn providers(monitor: &PerformanceMonitor) -> ProvidersView {
    monitor.collect();
    monitor.providers(Window::SinceStart).unwrap()
}

/// What the events say of one operation, in nanoseconds: its duration, that of all its attempts
/// and waits, and its overhead.
fn told(monitor: &PerformanceMonitor) -> (u128, u128, u128) {
    monitor.collect();
    let (mut whole, mut busy, mut overhead) = (0, 0, None);
    for event in monitor.recent_events() {
        let took = event.duration.map_or(0, |took| took.as_nanos());
        match &*event.component {
            "endpoint" => {
                whole = took;
                let ms: Option<f64> = event
                    .metadata
                    .get("gateway_overhead_ms")
                    .map(|ms| ms.parse().unwrap());
                overhead = ms.map(|ms| (ms * 1e6).round() as u128);
            }
            "provider" | "wait" => busy += took,
            _ => {}
        }
    }
    (whole, busy, overhead.unwrap())
}

fn attempt(provider: &str, status: u16) {
    let _attempt = info_span!("attempt", provider, model = "m", status_code = status).entered();
}

#[test]
fn spans_below_an_operation_are_its_attempts() {
    let monitor = monitor();
    let subscriber = tracing_subscriber::registry().with(monitor.layer());
    tracing::subscriber::with_default(subscriber, || {
        for statuses in [&[200][..], &[503, 200], &[503, 529, 429], &[503, 400], &[]] {
            let last = statuses.last().copied().unwrap_or(204);
            let _operation = info_span!(
                "operation",
                endpoint = "/chat",
                method = "POST",
                status_code = last
            )
            .entered();
            // A function of the gateway's own stands between.
            let _between = span!(Level::INFO, "route").entered();
            for status in statuses {
                attempt("cerebras", *status);
            }
        }
    });
    let view = endpoints(&monitor);
    let chat = &view.endpoints["/chat"];
    let by_attempts = json!(chat.chains.operations_by_attempts);
    assert_eq!(by_attempts, json!({"0": 1, "1": 1, "2": 2, "3": 1}));
    assert_eq!(chat.chains.attempts_per_operation, Some(2.0));
    assert_eq!(chat.chains.exhausted_operations, 1, "a 400 is the caller's");
    assert_eq!(view.aggregated.chains.exhausted_operations, 1);
    assert_eq!(view.aggregated.chains, chat.chains);
    assert!(chat.chains.avg_gateway_overhead_ms.is_some());
    let faults = json!(chat.all.failed_operations_by_fault);
    assert_eq!(
        faults,
        json!({"caller": 1, "policy": 0, "provider": 1, "gateway": 0, "_OTHER": 0})
    );
    let view = providers(&monitor);
    let faults = json!(view.providers["cerebras"].failed_requests_by_fault);
    assert_eq!(
        faults,
        json!({"caller": 1, "policy": 0, "provider": 5, "gateway": 0, "_OTHER": 0})
    );
}

#[test]
fn an_operation_that_names_its_provider_is_its_only_attempt() {
    let monitor = monitor();
    let subscriber = tracing_subscriber::registry().with(monitor.layer());
    tracing::subscriber::with_default(subscriber, || {
        for status in [200, 503] {
            drop(info_span!(
                "both",
                endpoint = "/chat",
                provider = "cerebras",
                status_code = status
            ));
        }
    });
    let id = monitor.record_request_start("req", "/chat", "POST", "cerebras", "m");
    monitor.record_request_end(id, false, 0, 0, "timeout", 0.0);
    let chains = &endpoints(&monitor).endpoints["/chat"].chains;
    assert_eq!(json!(chains.operations_by_attempts), json!({"1": 3}));
    assert_eq!(chains.exhausted_operations, 2);
    assert_eq!(chains.avg_gateway_overhead_ms, None);
}

#[test]
fn calls_of_a_guard_are_its_attempts_and_its_waits_are_nobodys() {
    let monitor = monitor();
    let mut operation = monitor.operation("/chat", "POST");
    for (status, waits) in [(529, true), (200, false)] {
        let mut call = operation.provider_call("anthropic", "claude");
        call.status(status);
        call.finish();
        if waits {
            let _waiting = operation.waiting();
            // Something whose duration is told.
            let _work = monitor.track_component("wait");
            monitor.collect();
        }
    }
    operation.status(200);
    operation.finish();
    let (whole, busy, overhead) = told(&monitor);
    // The work is within the wait, which takes a little longer.
    assert!(overhead <= whole - busy, "{overhead} of {whole} and {busy}");
    let view = endpoints(&monitor);
    let chat = &view.endpoints["/chat"];
    assert_eq!(json!(chat.chains.operations_by_attempts), json!({"2": 1}));
    assert_eq!(chat.chains.attempts_per_operation, Some(2.0));
    assert_eq!(chat.chains.exhausted_operations, 0);
    let shown = chat.chains.avg_gateway_overhead_ms.unwrap();
    assert!(
        (shown * 1e6 - overhead as f64).abs() < 1.0,
        "{shown} and {overhead}"
    );
    assert!(chat.chains.p99_gateway_overhead_ms.is_some());
    assert!(view.coverage.quantile_error_percent.unwrap() < 2.2);
    let events = monitor.recent_events();
    let told = &events.last().unwrap().metadata;
    assert_eq!(told["attempts"], "2");
    assert!(!told.contains_key("exhausted"));
}

#[test]
fn the_gateways_overhead_is_what_is_left_of_the_operation() {
    let monitor = monitor();
    let subscriber = tracing_subscriber::registry().with(monitor.layer());
    tracing::subscriber::with_default(subscriber, || {
        let _operation = info_span!("operation", endpoint = "/chat", status_code = 503).entered();
        attempt("cerebras", 503);
        let wait = info_span!("backoff", component = "wait", operation = "backoff").entered();
        monitor.collect();
        drop(wait);
        attempt("openai", 503);
        // Work of another kind is the gateway's.
        let _work = info_span!("parse", component = "parser").entered();
    });
    let (whole, busy, overhead) = told(&monitor);
    assert_eq!(overhead, whole - busy);
    assert!(overhead > 0);
    let chat = &endpoints(&monitor).endpoints["/chat"];
    assert_eq!(chat.chains.exhausted_operations, 1);
}

#[tokio::test]
async fn below_the_http_layer_spans_and_handles_are_its_attempts() {
    use aimux_otel::OperationHandle;
    use axum::{Extension, Router, body::Body, http::Request, http::StatusCode, routing::post};
    use tower::ServiceExt;

    let monitor = monitor();
    let subscriber = tracing_subscriber::registry().with(monitor.layer());
    let _subscribed = tracing::subscriber::set_default(subscriber);
    let handler = async |Extension(operation): Extension<OperationHandle>| {
        attempt("cerebras", 503);
        let mut call = operation.provider_call("openai", "m");
        call.status(529);
        call.finish();
        StatusCode::SERVICE_UNAVAILABLE
    };
    let app: Router = Router::new()
        .route("/chat", post(handler))
        .layer(monitor.http_layer());
    let request = Request::post("/chat").body(Body::empty()).unwrap();
    let answer = app.oneshot(request).await.unwrap();
    axum::body::to_bytes(Body::new(answer.into_body()), 1_000)
        .await
        .unwrap();
    let (whole, busy, overhead) = told(&monitor);
    assert_eq!(overhead, whole - busy);
    let chat = &endpoints(&monitor).endpoints["/chat"];
    assert_eq!(json!(chat.chains.operations_by_attempts), json!({"2": 1}));
    assert_eq!(chat.chains.exhausted_operations, 1);
}

#[test]
fn what_is_scraped_says_the_same() {
    let monitor = monitor();
    for status in [503, 200] {
        let mut operation = monitor.operation("/chat", "POST");
        let mut call = operation.provider_call("anthropic", "claude");
        call.status(status);
        call.finish();
        operation.status(status);
        operation.finish();
    }
    monitor.collect();
    let families = monitor.prometheus_registry().gather();
    let family = families
        .iter()
        .find(|family| family.name() == "aimux_operations_total")
        .unwrap();
    let mut seen: Vec<_> = family
        .get_metric()
        .iter()
        .map(|metric| {
            let label = |name| {
                let labels = metric.get_label().iter();
                let found = labels.clone().find(|label| label.name() == name);
                found.map(|label| label.value().to_owned()).unwrap()
            };
            let outcome = label("aimux_operation_outcome");
            (
                label("aimux_operation_attempts"),
                outcome,
                metric.get_counter().get_value(),
            )
        })
        .collect();
    seen.sort_by(|a, b| a.1.cmp(&b.1));
    let of = |outcome: &str| ("1".to_owned(), outcome.to_owned(), 1.0);
    assert_eq!(seen, [of("answered"), of("exhausted")]);
    let names: Vec<&str> = families.iter().map(|family| family.name()).collect();
    assert!(names.contains(&"aimux_operation_overhead_seconds"));
}

#[test]
fn an_operation_costs_what_its_attempts_do() {
    let monitor = monitor();
    let subscriber = tracing_subscriber::registry().with(monitor.layer());
    tracing::subscriber::with_default(subscriber, || {
        let attempt = |cost| {
            drop(info_span!(
                "attempt",
                provider = "cerebras",
                model = "m",
                cost
            ));
        };
        // By spans, of which the outer names its endpoint at last.
        let operation = info_span!("chat", endpoint = tracing::field::Empty).entered();
        attempt(0.1);
        operation.record("endpoint", "/late");
        attempt(0.2);
        drop(operation);
        // A call for a client that nobody asked for.
        attempt(0.4);
        // An operation that is its only attempt.
        drop(info_span!(
            "both",
            endpoint = "/both",
            provider = "openai",
            cost = 0.8
        ));
        // What an operation tells of itself beside its attempts is not counted twice.
        let _operation = info_span!("told", endpoint = "/told", cost = 9.0).entered();
        attempt(1.6);
    });
    // By handles; and by hand, with nothing below.
    let mut operation = monitor.operation("/handle", "POST");
    for cost in [0.01, 0.02] {
        let mut call = operation.provider_call("anthropic", "claude");
        call.cost(cost);
        call.finish();
    }
    operation.status(200);
    operation.finish();
    drop(monitor.operation("/free", "GET"));
    let id = monitor.record_request_start("req", "/hand", "POST", "cerebras", "m");
    monitor.record_request_end(id, true, 0, 0, "", 0.5);

    let view = endpoints(&monitor);
    let costs: Vec<_> = view
        .endpoints
        .iter()
        .map(|(path, of)| (path.as_str(), of.chains.total_cost))
        .collect();
    assert_eq!(
        costs,
        [
            ("/both", 0.8),
            ("/free", 0.0),
            ("/hand", 0.5),
            ("/handle", 0.03),
            ("/late", 0.2),
            ("/told", 1.6),
        ]
    );
    assert_eq!(
        view.endpoints["/handle"].chains.cost_per_operation,
        Some(0.03)
    );
    assert_eq!(view.endpoints["/free"].chains.cost_per_operation, Some(0.0));
    let all = &view.aggregated.chains;
    assert_eq!(all.total_cost, 3.13);
    assert_eq!(
        providers(&monitor).summary.total_estimated_cost,
        3.63,
        "with the call that belongs to no operation, and the one before its endpoint was told"
    );
}
