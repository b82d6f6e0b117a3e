//! The observer sees every event, and may do what it likes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use aimux_otel::{PerformanceEvent, PerformanceEventType, PerformanceMonitor, Window};
use std::{
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

fn call(monitor: &PerformanceMonitor, milliseconds: u64) {
    let took = Duration::from_millis(milliseconds);
    monitor.record_provider_request("openai", "mini", took, true, "", 0.0);
}

#[test]
fn it_sees_what_is_counted_exactly_and_in_order() {
    let seen: Arc<Mutex<Vec<PerformanceEvent>>> = Arc::default();
    let events = Arc::clone(&seen);
    let monitor = PerformanceMonitor::builder()
        .on_event(move |event| events.lock().unwrap().push(event.clone()))
        .build()
        .unwrap();
    for milliseconds in 1..=200 {
        call(&monitor, milliseconds);
    }
    monitor.collect();
    let seen = seen.lock().unwrap();
    let durations: Vec<_> = seen
        .iter()
        .map(|e| e.duration.unwrap().as_millis())
        .collect();
    assert_eq!(durations, (1..=200).collect::<Vec<_>>());
    assert_eq!(seen[0].event_type, PerformanceEventType::ProviderEnd);
    assert_eq!(seen[0].metadata["model"], "mini");
}

#[test]
fn it_may_panic() {
    let monitor = PerformanceMonitor::builder()
        .on_event(|_| panic!("a closure of the host panics, as this test wants it to"))
        .build()
        .unwrap();
    call(&monitor, 1);
    call(&monitor, 2);
    monitor.collect();
    let view = monitor.providers(Window::SinceStart).unwrap();
    assert_eq!(view.summary.total_requests, 2);
}

#[test]
fn it_may_ask_and_tell_the_monitor() {
    let handle: Arc<OnceLock<PerformanceMonitor>> = Arc::default();
    let inside = Arc::clone(&handle);
    let monitor = PerformanceMonitor::builder()
        .on_event(move |event| {
            let Some(monitor) = inside.get() else { return };
            monitor.collect();
            monitor.recent_events();
            monitor.providers(Window::SinceStart).unwrap();
            if event.metadata["model"] == "mini" {
                let took = Duration::from_millis(1);
                monitor.record_provider_request("openai", "told-inside", took, true, "", 0.0);
            }
        })
        .build()
        .unwrap();
    assert!(handle.set(monitor.clone()).is_ok());
    call(&monitor, 1);
    monitor.collect();
    monitor.collect();
    let view = monitor.providers(Window::SinceStart).unwrap();
    assert!(
        view.providers["openai"]
            .model_stats
            .contains_key("told-inside")
    );
}
