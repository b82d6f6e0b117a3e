//! CPU, network, input and output of the process.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use crate::core::aggregate::Aggregate;
use crate::core::process::Counter;
use crate::core::views::reading::Reading;
use crate::names;

/// What of it is counted over a window.
pub(super) const METRICS: [&str; 5] = [
    names::PROCESS_CPU_TIME,
    names::PROCESS_DISK_IO,
    names::PROCESS_IO,
    names::PROCESS_IO_CALLS,
    names::SYSTEM_NETWORK_IO,
];

/// What the process uses beside memory. What cannot be had is `null`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct ProcessMetrics {
    /// CPU time.
    pub cpu: CpuMetrics,
    /// The network.
    pub network: NetworkMetrics,
    /// Input and output.
    pub io: IoMetrics,
    /// Threads (`/proc/self/status`).
    pub threads: Option<u64>,
    /// Open file descriptors (`/proc/self/fd`).
    pub open_fds: Option<u64>,
    /// Time since the process started, in seconds.
    pub uptime_seconds: Option<f64>,
    /// Time since the monitor was built, in seconds.
    pub monitor_uptime_seconds: f64,
}

/// CPU time of the process: of all threads, also of those that ended (`getrusage`).
///
/// Usage is in percent of the most that the process could have had, which is `cpu_limit`: at 100
/// it uses all it may, whatever the machine has.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct CpuMetrics {
    /// Between the last two collections that are at least a second apart, in percent of
    /// `cpu_limit`. It may be above 100 for a moment where a control group lets time be saved up.
    pub cpu_usage_percent: Option<f64>,
    /// Over the window, in percent of `cpu_limit`.
    pub window_cpu_usage_percent: Option<f64>,
    /// Over the window, in seconds.
    pub window_cpu_seconds: Option<f64>,
    /// How many CPUs the process may use at once: as many as its main thread may run on, or less
    /// if the `cpu.max` of its control group, or of one above, allows less. On other systems, and
    /// with the first version of control groups, what the standard library knows, which is in
    /// whole CPUs.
    pub cpu_limit: Option<f64>,
    /// Since the process started, in seconds.
    pub cpu_seconds: Option<f64>,
    /// Of these, in the program itself.
    pub user_cpu_seconds: Option<f64>,
    /// Of these, in the kernel on the program's behalf.
    pub system_cpu_seconds: Option<f64>,
}

/// What went over the network in the namespace of the process, over the window
/// (`/proc/self/net/dev`).
///
/// Linux does not count it by process: in a container of its own this is the container's traffic,
/// in the machine's namespace that of all. What passes several interfaces, such as a bridge and a
/// virtual one behind it, counts at each of them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct NetworkMetrics {
    /// Bytes in, over all interfaces but loopback.
    pub received_bytes: Option<u64>,
    /// Bytes out, over all interfaces but loopback.
    pub sent_bytes: Option<u64>,
    /// Bytes in a second, over all interfaces but loopback.
    pub received_bytes_per_second: Option<f64>,
    /// Bytes out a second, over all interfaces but loopback.
    pub sent_bytes_per_second: Option<f64>,
    /// Bytes in over loopback.
    pub loopback_received_bytes: Option<u64>,
    /// Bytes out over loopback: the same, since what is sent is received.
    pub loopback_sent_bytes: Option<u64>,
}

/// What the process read and wrote over the window (`/proc/self/io`).
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct IoMetrics {
    /// Bytes that it caused to be read from storage.
    pub disk_read_bytes: Option<u64>,
    /// Bytes that it caused to be written to storage, now or later.
    pub disk_written_bytes: Option<u64>,
    /// Bytes that it read by calls such as `read`, from files, pipes and some sockets, cached or not.
    pub read_bytes: Option<u64>,
    /// Bytes that it wrote by calls such as `write`.
    pub written_bytes: Option<u64>,
    /// How many calls to read.
    pub read_calls: Option<u64>,
    /// How many calls to write.
    pub write_calls: Option<u64>,
}

/// What the process used in the window of `reading`, which has [`METRICS`].
pub(super) fn of_reading(reading: &Reading<'_>) -> ProcessMetrics {
    let snapshot = reading.snapshot;
    let sample = &snapshot.process.sample;
    let age = |since: Duration| since.as_secs_f64();
    ProcessMetrics {
        cpu: cpu(reading),
        network: network(reading),
        io: io(reading),
        threads: sample.threads,
        open_fds: sample.open_files,
        uptime_seconds: sample.uptime.map(age),
        monitor_uptime_seconds: age(snapshot.collected_at.since(snapshot.started)),
    }
}

fn cpu(reading: &Reading<'_>) -> CpuMetrics {
    let state = &reading.snapshot.process;
    let cpu = state.sample.cpu;
    let limit = state.sample.cpu_limit;
    let used = total(reading, names::PROCESS_CPU_TIME, &[]);
    let most = limit.map(|limit| limit * reading.seconds());
    CpuMetrics {
        cpu_usage_percent: state.cpu_utilization.map(|share| 100.0 * share),
        window_cpu_usage_percent: used
            .zip(most.filter(|most| *most > 0.0))
            .map(|(used, most)| 100.0 * used / most),
        window_cpu_seconds: used,
        cpu_limit: limit,
        cpu_seconds: cpu.map(|cpu| cpu.total().as_secs_f64()),
        user_cpu_seconds: cpu.map(|cpu| cpu.user.as_secs_f64()),
        system_cpu_seconds: cpu.map(|cpu| cpu.system.as_secs_f64()),
    }
}

fn network(reading: &Reading<'_>) -> NetworkMetrics {
    let of = |class, direction| {
        let labels = [
            (names::NETWORK_CLASS, class),
            (names::NETWORK_DIRECTION, direction),
        ];
        count(reading, names::SYSTEM_NETWORK_IO, &labels)
    };
    let seconds = reading.seconds();
    let rate = |bytes: Option<u64>| {
        let rate = bytes? as f64 / seconds;
        rate.is_finite().then_some(rate)
    };
    let (received, sent) = (of("external", "receive"), of("external", "transmit"));
    NetworkMetrics {
        received_bytes: received,
        sent_bytes: sent,
        received_bytes_per_second: rate(received),
        sent_bytes_per_second: rate(sent),
        loopback_received_bytes: of("loopback", "receive"),
        loopback_sent_bytes: of("loopback", "transmit"),
    }
}

fn io(reading: &Reading<'_>) -> IoMetrics {
    let of = |metric, direction| count(reading, metric, &[(names::DISK_DIRECTION, direction)]);
    IoMetrics {
        disk_read_bytes: of(names::PROCESS_DISK_IO, "read"),
        disk_written_bytes: of(names::PROCESS_DISK_IO, "write"),
        read_bytes: of(names::PROCESS_IO, "read"),
        written_bytes: of(names::PROCESS_IO, "write"),
        read_calls: of(names::PROCESS_IO_CALLS, "read"),
        write_calls: of(names::PROCESS_IO_CALLS, "write"),
    }
}

fn count(reading: &Reading<'_>, metric: &str, labels: &[(&str, &str)]) -> Option<u64> {
    // A negative number, which nothing here has, is zero.
    total(reading, metric, labels).map(|sum| sum.round() as u64)
}

/// The sum of the series of `metric` with these labels; zero where the process has such a counter
/// that never moved, and so is no series. None if it has none.
fn total(reading: &Reading<'_>, metric: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let metrics = [metric];
    let mut sums = reading
        .of(&metrics)
        .filter(|series| labels.iter().all(|(k, v)| series.label(k) == *v))
        .map(|series| series.aggregate.as_ref().map_or(0.0, Aggregate::sum))
        .peekable();
    let mut counters = reading.snapshot.process.sample.counters();
    let is_this = |counter: Counter| {
        counter.metric == metric && labels.iter().all(|label| counter.labels.contains(label))
    };
    if sums.peek().is_none() && !counters.any(is_this) {
        return None;
    }
    Some(sums.sum())
}
