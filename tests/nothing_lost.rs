//! Eight threads record while others read; then the monitor is changed, stopped and started under
//! them, and at the end shut down: what was offered is counted or dropped, to the last one.
//!
//! `AIMUX_STRESS_EVENTS` sets how many events are recorded before the shutdown.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use aimux_otel::{
    EventFilter, PerformanceEventType, PerformanceMonitor, Window, timer, track_operation,
};
use std::{
    sync::{
        Barrier,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};
use tracing::{Span, field::Empty, info_span};
use tracing_subscriber::{Registry, layer::SubscriberExt};

const THREADS: u64 = 8;
const MODELS: [&str; 4] = ["small", "large", "vision", "code"];

fn events() -> u64 {
    let set = std::env::var("AIMUX_STRESS_EVENTS").ok();
    set.map_or(200_000, |text| text.parse().unwrap())
}

/// The `n`th event of a thread: a span, a call with a handle, or a request that is begun and ended
/// within component work, and timed; how many measurements that makes.
fn record(monitor: &PerformanceMonitor, n: u64) -> u64 {
    let model = MODELS[n as usize % MODELS.len()];
    match n % 4 {
        0 | 1 => {
            let span = info_span!(
                "call",
                provider = "cerebras",
                model,
                status_code = Empty,
                cost = Empty
            );
            span.record(
                "status_code",
                if n.is_multiple_of(8) { 503 } else { 200_u64 },
            );
            span.record("cost", 0.000_001);
            1
        }
        2 => {
            let took = Duration::from_micros(500 + n % 1_000);
            monitor.record_provider_request("openai", model, took, true, "", 0.000_002);
            1
        }
        _ => {
            // The start and the end are an event each, and there are the work and the timer.
            track_operation!(monitor, "router", "route");
            timer!(monitor, "routing").observe(Duration::from_micros(n));
            let id = monitor.record_request_start("", "/v1/chat/completions", "POST", "", "");
            assert!(monitor.record_request_end(id, true, 200, 10, "", 0.0));
            4
        }
    }
}

#[test]
fn what_is_offered_is_counted_or_dropped() {
    let monitor = PerformanceMonitor::builder()
        .collection_interval(Duration::from_millis(50))
        .build()
        .unwrap();
    let subscriber = tracing_subscriber::registry().with(monitor.layer::<Registry>());
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let per_thread = events() / THREADS;
    let (offered, late) = (AtomicU64::new(0), AtomicU64::new(0));
    let stop_reading = AtomicBool::new(false);
    let halfway = Barrier::new(THREADS as usize + 1);
    let go_on = Barrier::new(THREADS as usize + 1);
    let is_changed = AtomicBool::new(false);
    let changed = Barrier::new(THREADS as usize + 1);

    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let recorded: u64 = (0..per_thread).map(|n| record(&monitor, n)).sum();
                offered.fetch_add(recorded, Ordering::Relaxed);
                halfway.wait();
                go_on.wait();
                // Changes, stops and starts come in here, for as long as they take.
                let mut recorded = 0;
                let mut n = 0;
                while !is_changed.load(Ordering::Relaxed) {
                    recorded += record(&monitor, n);
                    n += 1;
                }
                changed.wait();
                // The shutdown comes somewhere in here.
                recorded += (0..per_thread / 10)
                    .map(|n| record(&monitor, n))
                    .sum::<u64>();
                late.fetch_add(recorded, Ordering::Relaxed);
            });
        }
        scope.spawn(|| {
            while !stop_reading.load(Ordering::Relaxed) {
                monitor
                    .report(Window::Last(Duration::from_secs(1)))
                    .unwrap();
                monitor.prometheus_registry().gather();
                thread::yield_now();
            }
        });

        halfway.wait();
        monitor.collect();
        let offered = offered.load(Ordering::Relaxed);
        let health = monitor.health();
        assert_eq!(health.offered, offered);
        assert_eq!(
            health.counted, offered,
            "nothing is dropped before the shutdown"
        );
        let providers = monitor.providers(Window::SinceStart).unwrap();
        let endpoints = monitor.endpoints(Window::SinceStart).unwrap();
        let quarter = per_thread / 4 * THREADS;
        assert_eq!(providers.providers["cerebras"].total_requests, 2 * quarter);
        assert_eq!(providers.providers["openai"].total_requests, quarter);
        assert_eq!(endpoints.aggregated.total_operations, quarter);
        let components = monitor.components(Window::SinceStart).unwrap();
        let work = &components.components["router"].stats;
        assert_eq!(work.total_operations, quarter);
        assert_eq!(components.timers["routing"].total_operations, quarter);
        let cost = (2 * quarter + 2 * quarter) as f64 / 1e6;
        assert_eq!(providers.summary.total_estimated_cost, cost);

        go_on.wait();
        // Changed, stopped and started again under those who record: nobody gets lost in between.
        for n in 0..20 {
            let interval = Duration::from_millis(10 + 5 * n);
            let hours = Duration::from_secs(3_600) * (1 + n as u32 % 3);
            monitor.set_event_filter(match n % 2 {
                0 => EventFilter::types([PerformanceEventType::ProviderEnd]).failures_only(),
                _ => EventFilter::ALL,
            });
            monitor.start_monitoring(interval, hours).unwrap();
            if n % 3 == 0 {
                monitor.stop_monitoring();
            }
        }
        monitor
            .start_monitoring(Duration::from_millis(50), Duration::from_secs(3_600))
            .unwrap();
        is_changed.store(true, Ordering::Relaxed);
        changed.wait();
        monitor.shutdown(Duration::from_secs(60)).unwrap();
        stop_reading.store(true, Ordering::Relaxed);
    });

    let health = monitor.health();
    let dropped: u64 = health.dropped.values().sum();
    let offered = offered.into_inner() + late.into_inner();
    println!("{health:?}");
    assert_eq!(health.offered, offered);
    assert_eq!(health.counted + dropped, offered);
    assert_eq!(
        dropped,
        health.dropped["shutdown"] + health.dropped["stopped"]
    );
    assert!(
        health.dropped["stopped"] > 0,
        "some were recorded while it was stopped"
    );
    assert!(Span::current().is_none());
}
