//! With jemalloc as the global allocator, the heap figures are its own.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]

use aimux_otel::{HeapSource, MemoryMetrics, PerformanceMonitor, Window};
use std::{hint::black_box, time::Duration};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const MEBIBYTE: usize = 1 << 20;

fn now(monitor: &PerformanceMonitor) -> MemoryMetrics {
    monitor.collect();
    monitor.memory(Window::SinceStart).unwrap().current
}

fn assert_close(what: &str, found: f64, expected: f64, within: f64) {
    let off = (found - expected).abs();
    assert!(off <= within, "{what}: {found}, not {expected}");
}

#[test]
fn used_is_what_was_asked_for_and_not_freed() {
    let builder = PerformanceMonitor::builder().collection_interval(Duration::from_secs(3_600));
    let monitor = builder.build().unwrap();
    // The first collections take memory of their own, and give some back.
    now(&monitor);
    let before = now(&monitor);
    assert_eq!(before.heap_source, Some(HeapSource::Jemalloc));
    let used = |metrics: &MemoryMetrics| metrics.heap_used_mb.unwrap();

    // Never touched: the kernel does not know of it, and the allocator does.
    let large = black_box(Vec::<u8>::with_capacity(64 * MEBIBYTE));
    let with = now(&monitor);
    assert_close("large", used(&with) - used(&before), 64.0, 1.0);
    let anonymous = with.anonymous_mb.unwrap() - before.anonymous_mb.unwrap();
    assert!(anonymous < 8.0, "{anonymous}");
    drop(large);
    assert_close("freed", used(&now(&monitor)), used(&before), 1.0);

    let small: Vec<Vec<u8>> = (0..65_536).map(|_| black_box(vec![1; 1_024])).collect();
    let with = now(&monitor);
    // The blocks, and the vector that holds them.
    assert_close("small", used(&with) - used(&before), 64.0 + 1.5, 1.0);
    // Every second block freed: the pages stay, and half of them is not used.
    let kept: Vec<_> = small.into_iter().step_by(2).collect();
    let half = now(&monitor);
    assert_close("half", used(&half) - used(&before), 32.0 + 0.75, 2.0);
    assert!(half.heap_free_mb.unwrap() >= 30.0, "{half:?}");
    drop(kept);
    assert_close("none", used(&now(&monitor)), used(&before), 1.0);
}
