//! The process at one moment, as the operating system tells it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::{
    clock::Timestamp,
    core::{
        memory::{HeapSource, MemoryLimitSource, MemoryMetrics},
        series::{Collection, Value},
    },
    names,
};

/// Bytes.
pub(crate) const MEBIBYTE: f64 = 1024.0 * 1024.0;

/// CPU usage is taken over so much at the least: over less, it says more of the scheduler than of
/// the process.
const CPU_INTERVAL: Duration = Duration::from_secs(1);
/// But over so little for the first time, so that there is something soon.
const FIRST_CPU_INTERVAL: Duration = Duration::from_millis(10);

/// What could be had of the process at one moment. Memory is in bytes, and counts go from the
/// start of the process.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct ProcessSample {
    pub(crate) at: Timestamp,
    pub(crate) resident: Option<u64>,
    pub(crate) anonymous: Option<u64>,
    pub(crate) file: Option<u64>,
    pub(crate) shared: Option<u64>,
    pub(crate) peak: Option<u64>,
    pub(crate) swapped: Option<u64>,
    pub(crate) virtual_size: Option<u64>,
    pub(crate) stack: Option<u64>,
    pub(crate) private: Option<u64>,
    pub(crate) heap: Option<Heap>,
    pub(crate) memory_limit: Option<(u64, MemoryLimitSource)>,
    pub(crate) system_memory: Option<SystemMemory>,
    pub(crate) minor_faults: Option<u64>,
    pub(crate) major_faults: Option<u64>,
    pub(crate) cpu: Option<CpuTime>,
    /// How many CPUs it may use at once: those it may run on, or its quota.
    pub(crate) cpu_limit: Option<f64>,
    pub(crate) threads: Option<u64>,
    pub(crate) open_files: Option<u64>,
    pub(crate) uptime: Option<Duration>,
    pub(crate) io: Option<Io>,
    pub(crate) network: Option<Network>,
}

/// What the heap takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Heap {
    pub(crate) source: HeapSource,
    pub(crate) used: u64,
    pub(crate) free: Option<u64>,
}

/// The memory of the machine; the states add up to all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct SystemMemory {
    pub(crate) total: u64,
    pub(crate) free: u64,
    pub(crate) cached: u64,
    pub(crate) buffers: u64,
}

impl SystemMemory {
    /// What is none of the other states.
    pub(crate) fn used(&self) -> u64 {
        let other = self.free.saturating_add(self.cached);
        self.total
            .saturating_sub(other.saturating_add(self.buffers))
    }
}

/// CPU time of all threads, also of those that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct CpuTime {
    pub(crate) user: Duration,
    pub(crate) system: Duration,
}

impl CpuTime {
    pub(crate) fn total(&self) -> Duration {
        self.user.saturating_add(self.system)
    }
}

/// What the process read and wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Io {
    /// Bytes by system calls, to whatever they went.
    pub(crate) read: u64,
    pub(crate) written: u64,
    pub(crate) read_calls: u64,
    pub(crate) write_calls: u64,
    /// Bytes from and to storage.
    pub(crate) disk_read: u64,
    pub(crate) disk_written: u64,
}

/// What went over the network of the process's namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Network {
    pub(crate) loopback: Transfer,
    /// All other interfaces together.
    pub(crate) external: Transfer,
}

/// Bytes in and out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Transfer {
    pub(crate) received: u64,
    pub(crate) sent: u64,
}

/// What only ever grows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Counter {
    pub(crate) metric: &'static str,
    pub(crate) labels: &'static [(&'static str, &'static str)],
    pub(crate) value: f64,
}

impl ProcessSample {
    /// What only ever grows, under the names of OpenTelemetry.
    pub(crate) fn counters(&self) -> impl Iterator<Item = Counter> {
        let bytes = |bytes: u64| bytes as f64;
        let of = |metric, labels, value: Option<f64>| {
            value.map(|value| Counter {
                metric,
                labels,
                value,
            })
        };
        let cpu = self.cpu;
        let io = self.io;
        let network = self.network;
        [
            of(
                names::PROCESS_CPU_TIME,
                &[(names::CPU_MODE, "user")],
                cpu.map(|cpu| cpu.user.as_secs_f64()),
            ),
            of(
                names::PROCESS_CPU_TIME,
                &[(names::CPU_MODE, "system")],
                cpu.map(|cpu| cpu.system.as_secs_f64()),
            ),
            of(
                names::PROCESS_PAGING_FAULTS,
                &[(names::PAGING_FAULT_TYPE, "minor")],
                self.minor_faults.map(bytes),
            ),
            of(
                names::PROCESS_PAGING_FAULTS,
                &[(names::PAGING_FAULT_TYPE, "major")],
                self.major_faults.map(bytes),
            ),
            of(
                names::PROCESS_DISK_IO,
                &[(names::DISK_DIRECTION, "read")],
                io.map(|io| bytes(io.disk_read)),
            ),
            of(
                names::PROCESS_DISK_IO,
                &[(names::DISK_DIRECTION, "write")],
                io.map(|io| bytes(io.disk_written)),
            ),
            of(
                names::PROCESS_IO,
                &[(names::DISK_DIRECTION, "read")],
                io.map(|io| bytes(io.read)),
            ),
            of(
                names::PROCESS_IO,
                &[(names::DISK_DIRECTION, "write")],
                io.map(|io| bytes(io.written)),
            ),
            of(
                names::PROCESS_IO_CALLS,
                &[(names::DISK_DIRECTION, "read")],
                io.map(|io| bytes(io.read_calls)),
            ),
            of(
                names::PROCESS_IO_CALLS,
                &[(names::DISK_DIRECTION, "write")],
                io.map(|io| bytes(io.write_calls)),
            ),
            of(
                names::SYSTEM_NETWORK_IO,
                &[
                    (names::NETWORK_CLASS, "loopback"),
                    (names::NETWORK_DIRECTION, "receive"),
                ],
                network.map(|network| bytes(network.loopback.received)),
            ),
            of(
                names::SYSTEM_NETWORK_IO,
                &[
                    (names::NETWORK_CLASS, "loopback"),
                    (names::NETWORK_DIRECTION, "transmit"),
                ],
                network.map(|network| bytes(network.loopback.sent)),
            ),
            of(
                names::SYSTEM_NETWORK_IO,
                &[
                    (names::NETWORK_CLASS, "external"),
                    (names::NETWORK_DIRECTION, "receive"),
                ],
                network.map(|network| bytes(network.external.received)),
            ),
            of(
                names::SYSTEM_NETWORK_IO,
                &[
                    (names::NETWORK_CLASS, "external"),
                    (names::NETWORK_DIRECTION, "transmit"),
                ],
                network.map(|network| bytes(network.external.sent)),
            ),
        ]
        .into_iter()
        .flatten()
    }

    /// Takes off what these counters had before `self`, of the first collection that reads them:
    /// what the process did before it was watched belongs to no window.
    pub(crate) fn take_off(&self, collection: &mut Collection) {
        for (key, value) in &mut collection.points {
            let Value::Sum(sum) = value else {
                continue;
            };
            if &*key.scope != names::SCOPE {
                continue;
            }
            let is_same = |counter: &Counter| {
                let has = |(label, value): &(&str, &str)| key.labels.get(label) == Some(*value);
                counter.metric == &*key.metric && counter.labels.iter().all(has)
            };
            if let Some(before) = self.counters().find(is_same) {
                *sum = (*sum - before.value).max(0.0);
            }
        }
    }

    /// Resident memory over the limit, as a share of one.
    pub(crate) fn memory_pressure(&self) -> Option<f64> {
        let (limit, _) = self.memory_limit?;
        (limit > 0).then_some(self.resident? as f64 / limit as f64)
    }

    /// As the views show it.
    pub(crate) fn memory(&self) -> MemoryMetrics {
        let mb = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64 / MEBIBYTE);
        let faults = self.minor_faults.zip(self.major_faults);
        MemoryMetrics {
            heap_used_mb: mb(self.heap.map(|heap| heap.used)),
            heap_free_mb: mb(self.heap.and_then(|heap| heap.free)),
            heap_source: self.heap.map(|heap| heap.source),
            stack_used_mb: mb(self.stack),
            anonymous_mb: mb(self.anonymous),
            file_cache_mb: mb(self.file),
            shared_mb: mb(self.shared),
            total_process_mb: mb(self.resident),
            peak_process_mb: mb(self.peak),
            swapped_mb: mb(self.swapped),
            private_mb: mb(self.private),
            memory_pressure_percent: self.memory_pressure().map(|share| 100.0 * share),
            memory_limit_mb: mb(self.memory_limit.map(|(bytes, _)| bytes)),
            memory_limit_source: self.memory_limit.map(|(_, source)| source),
            page_faults: faults.map(|(minor, major)| minor.saturating_add(major)),
            major_page_faults: self.major_faults,
        }
    }
}

/// The process at the last collection.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct ProcessState {
    pub(crate) sample: ProcessSample,
    /// CPU time over the most that could have been had, between the last two samples that are a
    /// second apart; as a share of one.
    pub(crate) cpu_utilization: Option<f64>,
    /// What that is measured from.
    cpu_from: (Timestamp, Option<CpuTime>),
}

impl ProcessState {
    /// The state once `sample` was taken.
    pub(crate) fn next(&self, sample: ProcessSample) -> Self {
        let (since, before) = self.cpu_from;
        let elapsed = sample.at.since(since);
        let is_due = elapsed >= CPU_INTERVAL || self.cpu_utilization.is_none();
        let cpu = before.zip(sample.cpu);
        let cpu = cpu.filter(|_| elapsed >= FIRST_CPU_INTERVAL);
        let used = cpu.map(|(before, now)| {
            let used = now.total().saturating_sub(before.total());
            used.as_secs_f64()
        });
        let limit = sample.cpu_limit.filter(|limit| *limit > 0.0);
        let utilization = used.zip(limit).and_then(|(used, limit)| {
            let share = used / (elapsed.as_secs_f64() * limit);
            share.is_finite().then_some(share)
        });
        let restarts = elapsed >= CPU_INTERVAL || before.is_none();
        Self {
            sample,
            cpu_utilization: if is_due {
                utilization
            } else {
                self.cpu_utilization
            },
            cpu_from: if restarts {
                (sample.at, sample.cpu)
            } else {
                self.cpu_from
            },
        }
    }
}

/// The state of the process, which the tick sets and everybody else reads.
#[derive(Debug, Default)]
pub(crate) struct ProcessCell(Mutex<Arc<ProcessState>>);

impl ProcessCell {
    /// The process at the last collection.
    pub(crate) fn get(&self) -> Arc<ProcessState> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps `sample`, and returns the state that it makes.
    pub(crate) fn set(&self, sample: ProcessSample) -> Arc<ProcessState> {
        let next = Arc::new(self.get().next(sample));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&next);
        next
    }
}

#[cfg(test)]
mod tests;
