//! The trace that a caller began goes on, and is sampled as the caller decided.

use crate::{
    app::{App, within},
    exported::Exported,
};
use aimux_otel::PerformanceMonitor;
use axum::{Router, routing::get};
use opentelemetry::trace::{SpanKind, Status};
use opentelemetry_sdk::trace::SpanData;
use std::time::Duration;
use tracing::instrument;
use tracing_subscriber::layer::SubscriberExt;

#[instrument]
async fn answer() -> axum::http::StatusCode {
    axum::http::StatusCode::BAD_GATEWAY
}

/// The spans exported of one request with this header.
async fn exported(traceparent: Option<&str>) -> Vec<SpanData> {
    let (exported, tracer_provider) = Exported::new();
    let monitor = PerformanceMonitor::builder()
        .collection_interval(Duration::from_secs(3_600))
        .tracer_provider(tracer_provider.clone())
        .build()
        .unwrap();
    let subscriber = tracing_subscriber::registry().with(monitor.layer());
    let _watching = tracing::subscriber::set_default(subscriber);
    let routes = Router::new().route("/items/{id}", get(answer));
    let app = App::serve(&monitor, routes.layer(monitor.http_layer())).await;
    let mut request = reqwest::Client::new().get(app.url("/items/7"));
    if let Some(traceparent) = traceparent {
        request = request.header("traceparent", traceparent);
    }
    within(request.send()).await.unwrap();
    app.finish().await;
    tracer_provider.force_flush().unwrap();
    exported.spans()
}

#[tokio::test]
async fn a_request_goes_on_with_the_trace_of_its_caller() {
    let header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let spans = exported(Some(header)).await;
    let [inner, outer] = &spans[..] else {
        panic!("{spans:?}");
    };
    let trace = outer.span_context.trace_id().to_string();
    assert_eq!(trace, "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(outer.parent_span_id.to_string(), "b7ad6b7169203331");
    assert_eq!(outer.name, "GET /items/{id}");
    assert_eq!(outer.span_kind, SpanKind::Server);
    assert!(matches!(outer.status, Status::Error { .. }));
    let attribute = |name: &str| {
        let found = outer.attributes.iter().find(|a| a.key.as_str() == name);
        found.map(|a| a.value.to_string())
    };
    assert_eq!(attribute("http.request.method").as_deref(), Some("GET"));
    assert_eq!(attribute("http.route").as_deref(), Some("/items/{id}"));
    let status = attribute("http.response.status_code");
    assert_eq!(status.as_deref(), Some("502"));
    assert_eq!(attribute("error.type").as_deref(), Some("502"));
    assert_eq!(inner.name, "answer");
    assert_eq!(inner.parent_span_id, outer.span_context.span_id());
}

#[tokio::test]
async fn what_the_caller_did_not_sample_is_not_exported() {
    let header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    assert_eq!(exported(Some(header)).await.len(), 0);
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
