//! From spans to views: what `#[instrument]` and its fields come to.

use aimux_otel::{PerformanceMonitor, ProvidersView, Window};
use std::time::Duration;
use tracing::{Span, field::Empty, info_span, instrument};
use tracing_subscriber::{Registry, layer::SubscriberExt};

fn monitor() -> PerformanceMonitor {
    let builder = PerformanceMonitor::builder().collection_interval(Duration::from_secs(3_600));
    builder.build().unwrap()
}

/// Runs `body` with a subscriber of nothing but the monitor's layer, and collects.
fn measured(monitor: &PerformanceMonitor, body: impl FnOnce()) {
    let subscriber = tracing_subscriber::registry().with(monitor.layer::<Registry>());
    tracing::subscriber::with_default(subscriber, body);
    monitor.collect();
}

fn providers(monitor: &PerformanceMonitor) -> ProvidersView {
    monitor.providers(Window::SinceStart).unwrap()
}

#[instrument(skip_all, fields(provider = "cerebras", model, status_code, cost))]
fn call(model: &str, status: u64) {
    let span = Span::current();
    span.record("model", model);
    span.record("status_code", status);
    span.record("cost", 0.0042);
}

#[test]
fn an_annotated_function_is_an_attempt() {
    let monitor = monitor();
    measured(&monitor, || {
        call("llama3.1-70b", 200);
        call("llama3.1-70b", 200);
        call("llama3.1-8b", 503);
    });
    let view = providers(&monitor);
    let cerebras = &view.providers["cerebras"];
    assert_eq!(cerebras.total_requests, 3);
    assert_eq!(cerebras.successful_requests, 2);
    assert_eq!(cerebras.failed_requests, 1);
    assert_eq!(cerebras.total_cost, 0.0126);
    assert_eq!(cerebras.model_stats.len(), 2);
    let health = monitor.health();
    assert_eq!((health.offered, health.counted), (3, 3));
}

#[test]
fn a_span_that_is_both_is_one_operation_and_one_attempt() {
    let monitor = monitor();
    measured(&monitor, || {
        let span = info_span!("both", endpoint = "/v1/chat", provider = "openai");
        drop(span);
    });
    let endpoints = monitor.endpoints(Window::SinceStart).unwrap();
    assert_eq!(endpoints.aggregated.total_operations, 1);
    assert_eq!(providers(&monitor).summary.total_requests, 1);
}

#[test]
fn a_child_that_recorded_an_attempt_replaces_that_of_its_operation() {
    let monitor = monitor();
    measured(&monitor, || {
        let operation = info_span!("operation", endpoint = "/v1/chat", provider = "openai");
        operation.in_scope(|| {
            info_span!("between").in_scope(|| {
                drop(info_span!(
                    "attempt",
                    provider = "anthropic",
                    model = "haiku"
                ));
                drop(info_span!("attempt", provider = "openai", model = "mini"));
            });
        });
    });
    let view = providers(&monitor);
    assert_eq!(view.summary.total_requests, 2);
    assert_eq!(view.providers["openai"].total_requests, 1);
    assert_eq!(
        monitor.health().counted,
        3,
        "one operation and two attempts"
    );
}

#[test]
fn a_provider_that_was_never_told_is_no_attempt() {
    let monitor = monitor();
    measured(&monitor, || {
        drop(info_span!("maybe", provider = Empty, model = Empty));
    });
    assert_eq!(monitor.health().offered, 0);
}
