//! A monitor that is stopped and started again, and changed while it runs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use aimux_otel::{
    EventFilter, MonitorHealth, PerformanceEventType, PerformanceMonitor, SettingsError, Window,
};
use opentelemetry::metrics::MeterProvider;
use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};
use tracing_subscriber::{Registry, layer::SubscriberExt};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

fn monitor() -> PerformanceMonitor {
    let builder = PerformanceMonitor::builder().collection_interval(HOUR);
    builder.build().unwrap()
}

fn call(monitor: &PerformanceMonitor) {
    monitor.record_provider_request("openai", "mini", MS, true, "", 0.0);
}

fn attempts(monitor: &PerformanceMonitor) -> u64 {
    monitor.collect();
    let view = monitor.providers(Window::SinceStart).unwrap();
    view.summary.total_requests
}

fn collected_at(monitor: &PerformanceMonitor) -> f64 {
    let report = monitor.report(Window::SinceStart).unwrap();
    report.coverage.collected_at
}

fn dropped(health: &MonitorHealth) -> u64 {
    health.dropped.values().sum()
}

#[test]
fn what_is_recorded_while_it_is_stopped_is_dropped_and_counted() {
    let monitor = monitor();
    call(&monitor);
    monitor.stop_monitoring();
    let health = monitor.health();
    assert_eq!((health.offered, health.counted), (1, 1), "counted at once");
    for _ in 0..3 {
        call(&monitor);
    }
    assert_eq!(attempts(&monitor), 1);
    monitor.start_monitoring(HOUR, DAY).unwrap();
    call(&monitor);
    assert_eq!(attempts(&monitor), 2);
    let health = monitor.health();
    assert_eq!((health.offered, health.counted), (5, 2));
    assert_eq!((health.dropped["stopped"], dropped(&health)), (3, 3));
}

#[test]
fn it_goes_on_answering_while_it_is_stopped() {
    let monitor = monitor();
    call(&monitor);
    let active = |monitor: &PerformanceMonitor| {
        let report = monitor.report(Window::SinceStart).unwrap();
        let real_time = monitor.real_time(Window::Last(HOUR)).unwrap();
        let active = monitor.is_monitoring();
        assert_eq!(report.monitoring_active, active);
        assert_eq!(real_time.monitoring_active, active);
        assert_eq!(report.summary.total_requests, 1);
        active
    };
    for _ in 0..3 {
        monitor.stop_monitoring();
        assert!(!active(&monitor));
        monitor.stop_monitoring();
        assert!(!active(&monitor));
        monitor.start_monitoring(HOUR, DAY).unwrap();
        assert!(active(&monitor));
    }
}

#[test]
fn it_says_that_it_is_stopped_also_where_it_cannot_collect() {
    let monitor = monitor();
    let meter = monitor.meter_provider().meter("host");
    let _gauge = meter
        .u64_observable_gauge("host.gauge")
        .with_callback(|_| panic!("a callback of the host panics, as this test wants it to"))
        .build();
    monitor.stop_monitoring();
    assert!(
        !monitor
            .report(Window::SinceStart)
            .unwrap()
            .monitoring_active
    );
    monitor.start_monitoring(HOUR, DAY).unwrap();
    assert!(
        monitor
            .report(Window::SinceStart)
            .unwrap()
            .monitoring_active
    );
}

#[test]
fn a_stopped_monitor_sleeps_until_it_is_asked() {
    let builder = || PerformanceMonitor::builder().collection_interval(10 * MS);
    let (stopped, running) = (builder().build().unwrap(), builder().build().unwrap());
    stopped.stop_monitoring();
    let at = collected_at(&stopped);
    let mut seen = collected_at(&running);
    for _ in 0..10 {
        // Even where it is woken.
        stopped.set_event_filter(EventFilter::ALL);
        while collected_at(&running) == seen {
            thread::yield_now();
        }
        seen = collected_at(&running);
    }
    assert_eq!(
        collected_at(&stopped),
        at,
        "the other one collected ten times"
    );
    stopped.collect();
    assert!(collected_at(&stopped) > at);
}

#[test]
fn what_is_open_across_a_stop_is_recorded_when_it_ends() {
    let monitor = monitor();
    let subscriber = tracing_subscriber::registry().with(monitor.layer::<Registry>());
    tracing::subscriber::with_default(subscriber, || {
        let attempt = monitor.provider_call("openai", "mini");
        let span = tracing::info_span!("call", provider = "openai", model = "large");
        let before = monitor.record_request_start("", "/before", "POST", "", "");
        monitor.stop_monitoring();
        let meanwhile = monitor.record_request_start("", "/meanwhile", "POST", "", "");
        monitor.start_monitoring(HOUR, DAY).unwrap();
        attempt.finish();
        drop(span);
        assert!(monitor.record_request_end(before, true, 200, 0, "", 0.0));
        assert!(monitor.record_request_end(meanwhile, true, 200, 0, "", 0.0));
    });
    assert_eq!(attempts(&monitor), 2);
    let endpoints = monitor.endpoints(Window::SinceStart).unwrap();
    assert_eq!(endpoints.aggregated.total_operations, 2);
    let health = monitor.health();
    assert_eq!(health.offered, 6);
    assert_eq!(health.counted, 5);
    assert_eq!(health.dropped["stopped"], 1, "that it began meanwhile");
}

#[test]
fn threads_that_record_through_stops_and_starts_lose_nothing_uncounted() {
    const THREADS: u64 = 4;
    let monitor = PerformanceMonitor::builder().build().unwrap();
    let offered = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    call(&monitor);
                    monitor.provider_call("openai", "mini").finish();
                    offered.fetch_add(2, Ordering::Relaxed);
                }
            });
        }
        // Each goes on until something was dropped, or counted, in that state.
        let until = |progress: &dyn Fn(&MonitorHealth) -> u64| {
            let before = progress(&monitor.health());
            while progress(&monitor.health()) == before {
                thread::yield_now();
            }
        };
        for n in 0..15 {
            monitor.stop_monitoring();
            until(&|health| health.dropped["stopped"]);
            monitor.start_monitoring((10 + n) * MS, DAY).unwrap();
            until(&|health| health.counted);
        }
        stop.store(true, Ordering::Relaxed);
    });
    let attempts = attempts(&monitor);
    let health = monitor.health();
    assert_eq!(health.offered, offered.into_inner());
    assert_eq!(health.counted, attempts);
    assert_eq!(health.offered, health.counted + dropped(&health));
    assert_eq!(dropped(&health), health.dropped["stopped"]);
}

#[test]
fn a_shutdown_is_for_good() {
    let monitor = monitor();
    call(&monitor);
    monitor.stop_monitoring();
    monitor.shutdown(Duration::from_secs(20)).unwrap();
    let started = monitor.start_monitoring(HOUR, DAY);
    assert_eq!(started, Err(SettingsError::ShutDown));
    monitor.stop_monitoring();
    call(&monitor);
    assert!(!monitor.is_monitoring());
    let health = monitor.health();
    assert_eq!((health.offered, health.counted), (2, 1));
    assert_eq!(
        (health.dropped["shutdown"], health.dropped["stopped"]),
        (1, 0)
    );
}

#[test]
fn what_is_out_of_range_changes_nothing() {
    let monitor = monitor();
    monitor.stop_monitoring();
    for (interval, retention) in [
        (9 * MS, DAY),
        (HOUR + MS, DAY),
        (HOUR, HOUR - MS),
        (HOUR, 3 * DAY),
    ] {
        let started = monitor.start_monitoring(interval, retention).unwrap_err();
        let built = PerformanceMonitor::builder()
            .collection_interval(interval)
            .retention(retention)
            .build()
            .unwrap_err();
        assert_eq!(started.to_string(), built.to_string(), "one place decides");
    }
    assert!(!monitor.is_monitoring());
    assert_eq!(
        (monitor.collection_interval(), monitor.retention()),
        (HOUR, DAY)
    );
}

#[test]
fn a_shorter_interval_is_noticed_in_the_middle_of_a_longer_one() {
    let monitor = monitor();
    let at = collected_at(&monitor);
    monitor.start_monitoring(10 * MS, DAY).unwrap();
    let mut seen = at;
    for _ in 0..3 {
        while collected_at(&monitor) == seen {
            thread::yield_now();
        }
        seen = collected_at(&monitor);
    }
    assert!(seen > at);
}

#[test]
fn windows_may_be_as_long_as_the_retention_in_force() {
    let monitor = monitor();
    call(&monitor);
    let fits = |retention| {
        monitor.start_monitoring(HOUR, retention).unwrap();
        let of = |window| monitor.providers(Window::Last(window));
        let view = of(retention).unwrap();
        assert_eq!(view.summary.total_requests, 1, "what was there is kept");
        of(retention + MS).is_err()
    };
    assert!(fits(2 * DAY));
    assert!(fits(HOUR));
    assert!(fits(DAY));
}

#[test]
fn the_filter_holds_from_the_moment_it_is_set() {
    let monitor = monitor();
    let types = |monitor: &PerformanceMonitor| -> Vec<_> {
        monitor.collect();
        let events = monitor.recent_events();
        events.iter().map(|event| event.event_type).collect()
    };
    call(&monitor);
    let id = monitor.record_request_start("", "/v1", "POST", "", "");
    monitor.set_event_filter(EventFilter::types([PerformanceEventType::RequestStart]));
    assert_eq!(types(&monitor), [PerformanceEventType::RequestStart]);
    monitor.set_event_filter(EventFilter::ALL);
    monitor.record_request_end(id, true, 200, 0, "", 0.0);
    assert_eq!(
        types(&monitor),
        [
            PerformanceEventType::RequestStart,
            PerformanceEventType::RequestEnd
        ],
        "what was kept stays"
    );
    assert_eq!(monitor.health().counted, 3);
}

#[cfg(feature = "server")]
#[tokio::test]
async fn the_routes_say_that_it_is_stopped() {
    use axum::{body::Body, http::Request};
    use tower::ServiceExt;

    let monitor = monitor();
    call(&monitor);
    monitor.stop_monitoring();
    for path in [
        "/performance",
        "/performance/real-time",
        "/performance/providers",
        "/metrics",
    ] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = monitor.router().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await;
        let text = String::from_utf8(body.unwrap().to_vec()).unwrap();
        if path == "/metrics" {
            let dropped = "aimux_monitor_events_dropped_total{aimux_reason=\"stopped\"";
            assert!(text.contains(dropped), "{text}");
            continue;
        }
        let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
        if path != "/performance/providers" {
            assert_eq!(answer["monitoring_active"], false, "{path}");
        }
    }
}
