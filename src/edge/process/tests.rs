//! This process itself.

use super::*;
use crate::core::memory::HeapSource;

#[cfg(target_os = "linux")]
#[test]
fn all_that_linux_tells_is_there() {
    let mut process = Process::new();
    let now = Timestamp::from_unix_nanos(1_000_000_000_000_000_000);
    process.look_closer(now);
    let sample = process.sample(now);
    let memory = serde_json::to_value(sample.memory()).unwrap();
    for (field, value) in memory.as_object().unwrap() {
        // Beside many other tests this may be a large process.
        let takes_long = ["private_mb", "heap_free_mb"].contains(&field.as_str());
        let is_large = sample.resident.unwrap() > system::LARGEST_ROLLUP / 2;
        assert!(
            !value.is_null() || takes_long && is_large,
            "{field} in {memory}"
        );
    }
    let parts = [sample.anonymous, sample.file, sample.shared];
    let sum: u64 = parts.into_iter().flatten().sum();
    assert_eq!(Some(sum), sample.resident);
    assert_eq!(sample.counters().count(), 14);
    assert!(sample.cpu_limit.unwrap() >= 0.01);
    assert!(sample.threads.unwrap() >= 2 && sample.open_files.unwrap() >= 3);
    // The tests have not been running for a day.
    assert!(sample.uptime.unwrap().as_secs() < 86_400);
    assert_eq!(sample.heap.unwrap().source, HeapSource::KernelAnonymous);
}

/// `cargo test --release --lib what_a_sample_costs -- --ignored --nocapture`
#[cfg(target_os = "linux")]
#[test]
#[ignore = "a measurement, which takes 2 GiB"]
fn what_a_sample_costs() {
    use crate::clock::Clock;
    use std::{hint::black_box, time::Duration};
    let clock = Clock::start();
    let mut held = Vec::new();
    for mebibytes in [0, 40, 2_008] {
        held.push(black_box(vec![1_u8; mebibytes << 20]));
        let mut process = Process::new();
        let mut costs = |rounds: u32, step: Duration, look: bool| {
            let mut took: Vec<Duration> = (0..rounds)
                .map(|n| {
                    let now = clock.now().after(step * n);
                    let before = clock.now();
                    if look {
                        process.look_closer(now);
                    }
                    black_box(process.sample(now));
                    clock.now().since(before)
                })
                .collect();
            took.sort();
            took[took.len() / 2]
        };
        let usual = costs(2_000, Duration::from_millis(1), false);
        let with_limits = costs(500, Duration::from_secs(20), false);
        // So far apart that each looks closer.
        let closer = costs(30, Duration::from_secs(86_400), true);
        let resident = process.sample(clock.now()).resident.unwrap() >> 20;
        println!(
            "{resident} MiB resident: a sample {usual:?}, with limits {with_limits:?}, \
             with all pages {closer:?}"
        );
    }
}
