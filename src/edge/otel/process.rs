//! The process as metrics. The callbacks only tell what the last collection sampled.

use crate::{
    core::process::{ProcessCell, ProcessSample, ProcessState},
    names,
};
use opentelemetry::{KeyValue, metrics::Meter};
use std::sync::Arc;

/// A gauge or an up-down counter: unit, description, and what it is of the last state.
type Amount = (
    &'static str,
    &'static str,
    &'static str,
    fn(&ProcessSample) -> Option<u64>,
);
type Share = (
    &'static str,
    &'static str,
    &'static str,
    fn(&ProcessState) -> Option<f64>,
);

const COUNTERS: [(&str, &str, &str); 5] = [
    (
        names::PROCESS_PAGING_FAULTS,
        "{fault}",
        "Page faults of the process",
    ),
    (
        names::PROCESS_DISK_IO,
        "By",
        "Bytes that the process caused to be read from and written to storage",
    ),
    (
        names::PROCESS_IO,
        "By",
        "Bytes that the process read and wrote by system calls",
    ),
    (
        names::PROCESS_IO_CALLS,
        "{call}",
        "System calls by which the process read and wrote",
    ),
    (
        names::SYSTEM_NETWORK_IO,
        "By",
        "Bytes over the network in the namespace of the process",
    ),
];

const AMOUNTS: [Amount; 6] = [
    (
        names::PROCESS_MEMORY_USAGE,
        "By",
        "Resident memory of the process",
        |sample| sample.resident,
    ),
    (
        names::PROCESS_MEMORY_VIRTUAL,
        "By",
        "Virtual memory of the process",
        |sample| sample.virtual_size,
    ),
    (
        names::PROCESS_MEMORY_LIMIT,
        "By",
        "Resident memory that would kill the process: of its control group, else of the machine",
        |sample| Some(sample.memory_limit?.0),
    ),
    (
        names::PROCESS_THREAD_COUNT,
        "{thread}",
        "Threads of the process",
        |sample| sample.threads,
    ),
    (
        names::PROCESS_FILE_DESCRIPTORS,
        "{file_descriptor}",
        "Open file descriptors of the process",
        |sample| sample.open_files,
    ),
    (
        names::SYSTEM_MEMORY_LIMIT,
        "By",
        "All memory of the machine",
        |sample| Some(sample.system_memory?.total),
    ),
];

const SHARES: [Share; 4] = [
    (
        names::PROCESS_CPU_UTILIZATION,
        "1",
        "CPU time of the last collection interval over the most that the process could have had",
        |state| state.cpu_utilization,
    ),
    (
        names::PROCESS_CPU_LIMIT,
        "{cpu}",
        "CPUs that the process may use at once: those it may run on, or its quota",
        |state| state.sample.cpu_limit,
    ),
    (
        names::PROCESS_UPTIME,
        "s",
        "Time since the process started",
        |state| Some(state.sample.uptime?.as_secs_f64()),
    ),
    (
        names::PROCESS_MEMORY_PRESSURE,
        "1",
        "Resident memory over what would kill the process",
        |state| state.sample.memory_pressure(),
    ),
];

/// Shows the process of `cell` as metrics of `meter`.
pub(crate) fn observe_process(meter: &Meter, cell: &Arc<ProcessCell>) {
    let of = Arc::clone(cell);
    meter
        .f64_observable_counter(names::PROCESS_CPU_TIME)
        .with_unit("s")
        .with_description("CPU time of the process")
        .with_callback(move |observer| {
            each_counter(&of, names::PROCESS_CPU_TIME, |seconds, attributes| {
                observer.observe(seconds, attributes);
            });
        })
        .build();
    for (name, unit, description) in COUNTERS {
        let of = Arc::clone(cell);
        meter
            .u64_observable_counter(name)
            .with_unit(unit)
            .with_description(description)
            .with_callback(move |observer| {
                each_counter(&of, name, |count, attributes| {
                    observer.observe(count as u64, attributes);
                });
            })
            .build();
    }
    for (name, unit, description, amount) in AMOUNTS {
        let of = Arc::clone(cell);
        meter
            .i64_observable_up_down_counter(name)
            .with_unit(unit)
            .with_description(description)
            .with_callback(move |observer| {
                if let Some(amount) = amount(&of.get().sample) {
                    observer.observe(signed(amount), &[]);
                }
            })
            .build();
    }
    for (name, unit, description, share) in SHARES {
        let of = Arc::clone(cell);
        meter
            .f64_observable_gauge(name)
            .with_unit(unit)
            .with_description(description)
            .with_callback(move |observer| {
                if let Some(share) = share(&of.get()) {
                    observer.observe(share, &[]);
                }
            })
            .build();
    }
    observe_heap(meter, Arc::clone(cell));
    observe_system_memory(meter, Arc::clone(cell));
}

fn observe_heap(meter: &Meter, cell: Arc<ProcessCell>) {
    meter
        .i64_observable_up_down_counter(names::PROCESS_HEAP_USAGE)
        .with_unit("By")
        .with_description("Heap in use, as the allocator tells it, else the kernel's nearest")
        .with_callback(move |observer| {
            if let Some(heap) = cell.get().sample.heap {
                let source = KeyValue::new(names::HEAP_SOURCE, heap.source.text());
                observer.observe(signed(heap.used), &[source]);
            }
        })
        .build();
}

fn observe_system_memory(meter: &Meter, cell: Arc<ProcessCell>) {
    meter
        .i64_observable_up_down_counter(names::SYSTEM_MEMORY_USAGE)
        .with_unit("By")
        .with_description("Memory of the machine by what it is used for")
        .with_callback(move |observer| {
            let Some(memory) = cell.get().sample.system_memory else {
                return;
            };
            for (state, bytes) in [
                ("used", memory.used()),
                ("free", memory.free),
                ("cached", memory.cached),
                ("buffers", memory.buffers),
            ] {
                let state = KeyValue::new(names::SYSTEM_MEMORY_STATE, state);
                observer.observe(signed(bytes), &[state]);
            }
        })
        .build();
}

/// What the counters of `metric` have come to.
fn each_counter(cell: &ProcessCell, metric: &str, mut each: impl FnMut(f64, &[KeyValue])) {
    let state = cell.get();
    for counter in state.sample.counters().filter(|c| c.metric == metric) {
        let attributes: Vec<KeyValue> = counter
            .labels
            .iter()
            .map(|(key, value)| KeyValue::new(*key, *value))
            .collect();
        each(counter.value, &attributes);
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
