//! The monitor that is used without a handle. There is one for a process, so this is one test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use aimux_otel::{PerformanceMonitor, Window, timer, track_component, track_operation};
use std::{thread, time::Duration};

fn monitor() -> PerformanceMonitor {
    let builder = PerformanceMonitor::builder().collection_interval(Duration::from_secs(3_600));
    builder.build().unwrap()
}

/// Records four times without a handle; whether the value of the metadata was asked for.
fn record() -> bool {
    let mut asked = false;
    let mut value = || {
        asked = true;
        "cerebras"
    };
    track_component!("router");
    track_operation!("router", "choose");
    track_operation!("router", "call", { "provider" => value() });
    timer!("user_actions_login").time(|| ());
    asked
}

fn counts(monitor: &PerformanceMonitor) -> (u64, u64) {
    monitor.collect();
    let view = monitor.components(Window::SinceStart).unwrap();
    let router = view.components.get("router");
    let timer = view.timers.get("user_actions_login");
    (
        router.map_or(0, |router| router.stats.total_operations),
        timer.map_or(0, |timer| timer.total_operations),
    )
}

#[test]
fn the_global_monitor_is_the_last_that_was_set_while_it_lives() {
    assert!(aimux_otel::global().is_none());
    assert!(!record(), "metadata for nobody is not even evaluated");

    let (first, second) = (monitor(), monitor());
    first.set_global();
    assert!(record());
    assert_eq!(counts(&first), (3, 1));
    thread::scope(|scope| {
        scope.spawn(record);
    });
    assert_eq!(counts(&first), (6, 2));
    assert_eq!(counts(&second), (0, 0), "two monitors stay apart");

    let kept = aimux_otel::timer("user_actions_login");
    second.set_global();
    assert!(record());
    assert_eq!((counts(&first), counts(&second)), ((6, 2), (3, 1)));
    kept.observe(Duration::from_millis(1));
    assert_eq!(counts(&first), (6, 3), "a timer stays with its monitor");

    let handle = aimux_otel::global().unwrap();
    handle.record_provider_request("zai", "m", Duration::from_millis(1), true, "", 0.0);
    assert_eq!(second.health().offered, 5);

    // Neither of these keeps it alive; the last handle does.
    drop(second);
    assert!(record());
    assert_eq!(counts(&handle), (6, 2));
    drop(handle);
    assert!(aimux_otel::global().is_none());
    record();
    drop(first);

    // Installing does it too.
    let installed = PerformanceMonitor::builder().install().unwrap();
    assert!(record());
    assert_eq!(counts(&installed), (3, 1));
}

#[test]
fn many_threads_follow_when_it_is_replaced() {
    // Beside the other test nothing may be global, so this one is about handles only.
    let (one, other) = (monitor(), monitor());
    thread::scope(|scope| {
        for monitor in [&one, &other, &one] {
            scope.spawn(move || {
                for _ in 0..1_000 {
                    track_component!(monitor, "router");
                }
            });
        }
    });
    assert_eq!((counts(&one).0, counts(&other).0), (2_000, 1_000));
}
