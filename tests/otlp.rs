//! Push by OTLP: what a receiver gets is what the views say, and only what is sampled is traced.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod support;

use aimux_otel::{MonitorBuilder, OtlpProtocol, PerformanceMonitor, TraceSampling, Window};
use std::time::Duration;
use support::otlp::Receiver;
use tracing::info_span;
use tracing_subscriber::{Registry, layer::SubscriberExt};

const DEADLINE: Duration = Duration::from_secs(20);

fn builder(endpoint: std::net::SocketAddr, protocol: OtlpProtocol) -> MonitorBuilder {
    PerformanceMonitor::builder()
        .service_name("gateway under test")
        .otlp_endpoint(format!("http://{endpoint}"))
        .otlp_protocol(protocol)
        .otlp_interval(Duration::from_secs(3_600))
}

fn traffic(monitor: &PerformanceMonitor, operations: usize) {
    let subscriber = tracing_subscriber::registry().with(monitor.layer::<Registry>());
    tracing::subscriber::with_default(subscriber, || {
        for n in 0..operations {
            let operation = info_span!("operation", endpoint = "/v1/chat", method = "POST");
            operation.in_scope(|| {
                drop(info_span!(
                    "attempt",
                    provider = "cerebras",
                    model = "llama3.1-70b",
                    status_code = if n % 5 == 0 { 503_u64 } else { 200 },
                    cost = 0.0042,
                ));
            });
        }
    });
}

async fn shut_down(monitor: PerformanceMonitor) {
    let shutdown = move || monitor.shutdown(DEADLINE);
    tokio::task::spawn_blocking(shutdown)
        .await
        .unwrap()
        .unwrap();
}

async fn pushed_is_what_the_views_say(receiver: Receiver, monitor: PerformanceMonitor) {
    traffic(&monitor, 50);
    monitor
        .timer("user_actions_login")
        .observe(Duration::from_millis(40));
    monitor.collect();
    let view = monitor.providers(Window::SinceStart).unwrap();
    let exposition = monitor.prometheus_registry().gather();
    shut_down(monitor).await;

    let duration = "gen_ai.client.operation.duration";
    assert_eq!(view.summary.total_requests, 50);
    assert_eq!(
        receiver.count(duration, &["gen_ai.provider.name=cerebras"]),
        50
    );
    assert_eq!(receiver.count(duration, &["error.type=503"]), 10);
    assert_eq!(receiver.count("http.server.request.duration", &[]), 50);
    let points = receiver.points(duration);
    assert!(points.values().all(|p| p.buckets.is_some()), "{points:?}");
    let timer = "aimux.timer.duration";
    assert_eq!(
        receiver.count(timer, &["aimux.timer=user_actions_login"]),
        1
    );
    let observed = receiver.points(timer);
    assert!(
        observed
            .values()
            .all(|p| p.buckets.is_some() && p.sum == 0.04)
    );
    let cost: Vec<f64> = receiver
        .points("aimux.cost")
        .values()
        .map(|p| p.sum)
        .collect();
    assert_eq!(cost, [view.summary.total_estimated_cost]);

    let family = exposition
        .iter()
        .find(|f| f.name() == "gen_ai_client_operation_duration_seconds")
        .unwrap();
    let metrics = family.get_metric().iter();
    let (mut scraped, mut scraped_sum) = (0, 0.0);
    for metric in metrics {
        scraped += metric.get_histogram().get_sample_count();
        scraped_sum += metric.get_histogram().get_sample_sum();
    }
    let pushed_sum: f64 = points.values().map(|p| p.sum).sum();
    assert_eq!(scraped, 50);
    assert!((scraped_sum - pushed_sum).abs() < 1e-12);
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_carries_what_the_views_say() {
    let (receiver, address) = Receiver::grpc().await;
    let monitor = builder(address, OtlpProtocol::Grpc).build().unwrap();
    pushed_is_what_the_views_say(receiver, monitor).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http_carries_what_the_views_say() {
    let (receiver, address) = Receiver::http().await;
    let monitor = builder(address, OtlpProtocol::HttpProtobuf)
        .build()
        .unwrap();
    pushed_is_what_the_views_say(receiver, monitor).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_span_belongs_to_its_parents_trace() {
    let (receiver, address) = Receiver::grpc().await;
    let monitor = builder(address, OtlpProtocol::Grpc).build().unwrap();
    traffic(&monitor, 1);
    shut_down(monitor).await;
    let spans = receiver.spans();
    assert_eq!(spans.len(), 2, "{spans:#?}");
    let by_name = |name| spans.iter().find(|s| s.name == name).unwrap();
    let (operation, attempt) = (by_name("operation"), by_name("attempt"));
    assert_eq!(attempt.parent_span_id, operation.span_id);
    assert_eq!(attempt.trace_id, operation.trace_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_see_what_is_not_sampled() {
    let (receiver, address) = Receiver::grpc().await;
    let monitor = builder(address, OtlpProtocol::Grpc)
        .trace_sampling(TraceSampling::Ratio(0.25))
        .build()
        .unwrap();
    traffic(&monitor, 400);
    monitor.collect();
    let view = monitor.providers(Window::SinceStart).unwrap();
    shut_down(monitor).await;
    assert_eq!(view.summary.total_requests, 400);
    let spans = receiver.spans();
    let of = |name| spans.iter().filter(|s| s.name == name).count();
    // Within six standard deviations of a quarter.
    assert!((50..=150).contains(&of("operation")), "{}", of("operation"));
    assert_eq!(of("operation"), of("attempt"), "whole traces or nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_always_off_leaves_is_no_trace() {
    let (receiver, address) = Receiver::grpc().await;
    let monitor = builder(address, OtlpProtocol::Grpc)
        .trace_sampling(TraceSampling::AlwaysOff)
        .build()
        .unwrap();
    traffic(&monitor, 10);
    shut_down(monitor).await;
    assert!(receiver.spans().is_empty());
    assert_eq!(receiver.count("http.server.request.duration", &[]), 10);
}

#[test]
fn a_shutdown_keeps_its_deadline_with_a_collector_that_swallows() {
    let swallowing = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = swallowing.local_addr().unwrap();
    let monitor = builder(address, OtlpProtocol::Grpc).build().unwrap();
    traffic(&monitor, 10);
    let error = monitor.shutdown(Duration::from_millis(300)).unwrap_err();
    assert!(error.to_string().contains("the exporter"), "{error}");
}
