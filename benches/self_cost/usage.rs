//! What the process uses: live heap, resident memory, processor time of each thread.

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::{alloc::System, collections::BTreeMap, fs};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Bytes that are allocated now.
pub(crate) fn live_bytes() -> i64 {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated as i64 - stats.bytes_deallocated as i64
}

/// How often something was allocated.
pub(crate) fn allocations() -> u64 {
    ALLOCATOR.stats().allocations as u64
}

/// Resident memory now and at its peak, in bytes.
pub(crate) fn resident() -> (u64, u64) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name));
        let number = line.and_then(|line| line.split_whitespace().nth(1));
        number.and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) * 1_024
    };
    (kilobytes("VmRSS:"), kilobytes("VmHWM:"))
}

/// Seconds that the living threads have run, by their names.
pub(crate) fn cpu_by_thread() -> BTreeMap<String, f64> {
    let mut seconds = BTreeMap::new();
    let Ok(tasks) = fs::read_dir("/proc/self/task") else {
        return seconds;
    };
    for task in tasks.flatten() {
        let read = |file| fs::read_to_string(task.path().join(file)).unwrap_or_default();
        let nanos = read("schedstat");
        let nanos = nanos.split_whitespace().next().and_then(|n| n.parse().ok());
        let nanos: f64 = nanos.unwrap_or(0.0);
        *seconds.entry(read("comm").trim().to_owned()).or_default() += nanos / 1e9;
    }
    seconds
}
