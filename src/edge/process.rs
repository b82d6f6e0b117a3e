//! Memory of this process, and of the machine or container it runs in.

use crate::core::memory::MemoryMetrics;
use sysinfo::{MemoryRefreshKind, Pid, ProcessRefreshKind, ProcessesToUpdate, RefreshKind, System};

const MEGABYTE: f64 = 1024.0 * 1024.0;

/// Samples our own process only, without its tasks.
#[derive(Debug)]
pub(crate) struct Process {
    system: Option<System>,
    pid: Option<Pid>,
}

impl Process {
    pub(crate) fn new() -> Self {
        let memory = MemoryRefreshKind::nothing().with_ram();
        Self {
            system: System::new_with_specifics(RefreshKind::nothing().with_memory(memory)).ok(),
            pid: sysinfo::get_current_pid().ok(),
        }
    }

    /// The figures now; those that cannot be had are `None`.
    pub(crate) fn sample(&mut self) -> MemoryMetrics {
        let (Some(system), Some(pid)) = (&mut self.system, self.pid) else {
            return MemoryMetrics::default();
        };
        system.refresh_processes_specifics(
            ProcessesToUpdate::Some(&[pid]),
            true,
            ProcessRefreshKind::nothing().with_memory().without_tasks(),
        );
        let Some(process) = system.process(pid) else {
            return MemoryMetrics::default();
        };
        let resident = process.memory() as f64;
        // What would kill the process: its cgroup's limit, or all of the machine's memory.
        let limit = system
            .cgroup_limits()
            .map_or(0, |limits| limits.total_memory);
        let limit = match (limit, system.total_memory()) {
            (0, total) => total,
            (limit, total) => limit.min(total),
        };
        MemoryMetrics {
            total_process_mb: Some(resident / MEGABYTE),
            memory_pressure_percent: (limit > 0).then(|| 100.0 * resident / limit as f64),
            ..MemoryMetrics::default()
        }
    }
}
