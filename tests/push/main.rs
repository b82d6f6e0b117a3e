//! Push over HTTP, against servers on loopback that hold to the protocols, or do not.

#![cfg(feature = "push")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod alerts;
mod bounds;
mod elasticsearch;
mod pushgateway;
mod server;

use aimux_otel::{MonitorBuilder, PerformanceMonitor, PushHealth};
use std::time::{Duration, Instant};

/// A monitor that collects when it is told to, and hardly ever else.
fn quiet() -> MonitorBuilder {
    PerformanceMonitor::builder().collection_interval(Duration::from_secs(3_600))
}

fn call(monitor: &PerformanceMonitor, milliseconds: u64, error_type: &str) {
    let took = Duration::from_millis(milliseconds);
    let success = error_type.is_empty();
    monitor.record_provider_request("cerebras", "llama", took, success, error_type, 0.0042);
}

fn push(monitor: &PerformanceMonitor, destination: &str) -> PushHealth {
    monitor.health().pushes[destination].clone()
}

/// Waits until the account of `destination` is as it should be.
#[allow(
    clippy::disallowed_methods,
    reason = "a test that waits for another thread"
)]
fn wait_for(
    monitor: &PerformanceMonitor,
    destination: &str,
    is_it: impl Fn(&PushHealth) -> bool,
) -> PushHealth {
    let end = Instant::now() + server::PATIENCE;
    loop {
        let health = push(monitor, destination);
        if is_it(&health) {
            return health;
        }
        assert!(Instant::now() < end, "{health:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What was offered is sent or dropped once nothing is on the way.
fn assert_balanced(health: &PushHealth) {
    let dropped: u64 = health.dropped.values().sum();
    assert_eq!(health.offered, health.sent + dropped, "{health:?}");
}
