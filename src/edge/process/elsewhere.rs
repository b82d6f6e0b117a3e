//! What sysinfo tells where there is no `/proc`.

use crate::{
    clock::Timestamp,
    core::{
        memory::MemoryLimitSource,
        process::{ProcessSample, SystemMemory},
    },
};
use std::{thread, time::Duration};
use sysinfo::{MemoryRefreshKind, Pid, ProcessRefreshKind, ProcessesToUpdate, RefreshKind};

/// Asks for our own process only, without its tasks.
#[derive(Debug)]
pub(super) struct System {
    system: Option<sysinfo::System>,
    pid: Option<Pid>,
}

impl System {
    pub(super) fn new() -> Self {
        Self {
            system: sysinfo::System::new_with_specifics(RefreshKind::nothing()).ok(),
            pid: sysinfo::get_current_pid().ok(),
        }
    }

    /// There is nothing that would take long.
    pub(super) fn look_closer(&mut self, _now: Timestamp) {}

    pub(super) fn sample(&mut self, now: Timestamp) -> ProcessSample {
        let mut sample = ProcessSample {
            at: now,
            cpu_limit: thread::available_parallelism()
                .ok()
                .map(|cpus| cpus.get() as f64),
            ..ProcessSample::default()
        };
        let (Some(system), Some(pid)) = (&mut self.system, self.pid) else {
            return sample;
        };
        system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        let total = system.total_memory();
        if total > 0 {
            sample.memory_limit = Some((total, MemoryLimitSource::Machine));
            let free = system.available_memory().min(total);
            sample.system_memory = Some(SystemMemory {
                total,
                free,
                ..SystemMemory::default()
            });
        }
        let what = ProcessRefreshKind::nothing().with_memory().without_tasks();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, what);
        if let Some(process) = system.process(pid) {
            sample.resident = Some(process.memory());
            sample.virtual_size = Some(process.virtual_memory());
            sample.uptime = Some(Duration::from_secs(process.run_time()));
        }
        sample
    }
}
