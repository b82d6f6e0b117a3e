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
        assert!(!value.is_null(), "{field} in {memory}");
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
