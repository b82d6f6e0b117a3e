//! What the response cache saved, and whose rate limits were reached.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use aimux_otel::{ExportFormat, PerformanceMonitor, Window};
use tracing::{info, info_span};
use tracing_subscriber::layer::SubscriberExt;

#[test]
fn events_tell_what_was_saved_and_whose_limit_it_was() {
    let monitor = PerformanceMonitor::builder().build().unwrap();
    let subscriber = tracing_subscriber::registry().with(monitor.layer());
    tracing::subscriber::with_default(subscriber, || {
        let operation = info_span!("operation", endpoint = "/chat").entered();
        for _ in 0..3 {
            info!(
                aimux.event = "cache_hit",
                provider = "p",
                model = "m",
                cost = 0.1,
                saved_ms = 250.0
            );
        }
        info!(aimux.event = "cache_hit", saved_ms = -1.0, cost = f64::NAN);
        info!(aimux.event = "cache_miss");
        info!(aimux.event = "rate_limit_hit");
        info_span!("attempt", provider = "p", model = "m").in_scope(|| {
            info!(aimux.event = "rate_limit_hit");
        });
        info!(aimux.event = "rate_limit_hit", provider = "p");
        drop(operation);
    });
    monitor.collect();
    let report = monitor.report(Window::SinceStart).unwrap();
    assert_eq!((report.cache.hits, report.cache.misses), (4, 1));
    assert_eq!(report.cache.hit_rate_percent, Some(80.0));
    assert_eq!(
        report.cache.saved_cost, 0.3,
        "exact, unlike 0.1 + 0.1 + 0.1"
    );
    assert_eq!(report.cache.saved_seconds, 0.75);
    assert_eq!(report.rate_limit_hits, 3);
    assert_eq!(report.gateway_rate_limit_hits, 1);
    assert_eq!(report.provider_rate_limit_hits, 2);
    let hit = &monitor.recent_events()[0];
    assert_eq!(hit.metadata["saved_ms"], "250");
    assert_eq!(hit.duration, None, "it took no time itself");
    for format in [ExportFormat::Prometheus, ExportFormat::Otlp] {
        let text = monitor.export(format, None).unwrap().into_string().unwrap();
        let lines: Vec<&str> = text
            .lines()
            .filter(|line| line.contains("saved") || line.contains("rate_limit"))
            .collect();
        let text = lines.join("\n");
        for part in match format {
            ExportFormat::Prometheus => [
                "aimux_cache_saved_cost_total{gen_ai_provider_name=\"p\"",
                "aimux_cache_saved_time_seconds_total{gen_ai_provider_name=\"p\"",
                "aimux_rate_limit_by=\"gateway\"",
            ],
            _ => [
                "\"aimux.cache.saved.cost\"",
                "\"aimux.cache.saved.time\"",
                "\"aimux.rate_limit.by\"",
            ],
        } {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
