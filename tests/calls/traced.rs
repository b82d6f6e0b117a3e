//! A call in a trace: its span, which is there only if traces are exported, and is not measured.

use crate::{exported::Exported, gateway::Call};
use aimux_otel::{PerformanceMonitor, TokenUsage, Window};
use opentelemetry::trace::{SpanKind, Status};
use std::time::Duration;
use tracing_subscriber::layer::SubscriberExt;

#[test]
fn a_call_is_a_span_of_its_own_and_one_attempt() {
    let (exported, tracer_provider) = Exported::new();
    let monitor = PerformanceMonitor::builder()
        .collection_interval(Duration::from_secs(3_600))
        .tracer_provider(tracer_provider.clone())
        .build()
        .unwrap();
    let subscriber = tracing_subscriber::registry().with(monitor.layer());
    tracing::subscriber::with_default(subscriber, || {
        let around = tracing::info_span!("around");
        let _entered = around.enter();
        let mut call = monitor.provider_call("openai", "gpt-4o-mini");
        call.status(503).usage(TokenUsage::new(12, 34));
        call.finish();
    });
    tracer_provider.force_flush().unwrap();
    let spans = exported.spans();
    let [call, around] = &spans[..] else {
        panic!("{spans:?}");
    };
    assert_eq!(call.name, "chat gpt-4o-mini");
    assert_eq!(call.span_kind, SpanKind::Client);
    assert_eq!(call.parent_span_id, around.span_context.span_id());
    assert!(matches!(call.status, Status::Error { .. }));
    for (name, value) in [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "openai"),
        ("gen_ai.request.model", "gpt-4o-mini"),
        ("http.response.status_code", "503"),
        ("error.type", "503"),
        ("gen_ai.usage.input_tokens", "12"),
        ("gen_ai.usage.output_tokens", "34"),
    ] {
        let found = call.attributes.iter().find(|a| a.key.as_str() == name);
        assert_eq!(found.unwrap().value.to_string(), value, "{name}");
    }
    assert_eq!(Call::only(&monitor).error(), Some("503"));
    let view = monitor.providers(Window::SinceStart).unwrap();
    assert_eq!(view.summary.total_requests, 1);
}

#[test]
fn another_operation_names_the_span_anew() {
    let (exported, tracer_provider) = Exported::new();
    let builder = PerformanceMonitor::builder().tracer_provider(tracer_provider.clone());
    let monitor = builder.build().unwrap();
    let subscriber = tracing_subscriber::registry().with(monitor.layer());
    tracing::subscriber::with_default(subscriber, || {
        let mut call = monitor.provider_call("openai", "small");
        call.operation("embeddings");
        call.finish();
    });
    tracer_provider.force_flush().unwrap();
    let spans = exported.spans();
    assert_eq!(spans[0].name, "embeddings small");
    assert_eq!(spans[0].status, Status::Unset);
}

#[test]
fn without_an_exporter_there_is_no_span() {
    let (monitor, other) = (PerformanceMonitor::builder(), PerformanceMonitor::builder());
    let monitor = monitor.build().unwrap();
    let (exported, tracer_provider) = Exported::new();
    let other = other.tracer_provider(tracer_provider.clone());
    let other = other.build().unwrap();
    // The other one exports what this one would open.
    let subscriber = tracing_subscriber::registry().with(other.layer());
    tracing::subscriber::with_default(subscriber, || {
        monitor.provider_call("openai", "gpt-4o-mini").finish();
    });
    tracer_provider.force_flush().unwrap();
    assert!(exported.spans().is_empty());
    assert_eq!(Call::only(&monitor).error(), None);
}
