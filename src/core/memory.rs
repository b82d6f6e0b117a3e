//! The memory of the process, as the views show it.

use schemars::JsonSchema;
use serde::Serialize;

/// How much memory the process uses, as the kernel tells it. What it does not tell is `null`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct MemoryMetrics {
    /// Heap in use, in MiB.
    pub heap_used_mb: Option<f64>,
    /// Heap that the allocator holds and nobody uses, in MiB.
    pub heap_free_mb: Option<f64>,
    /// The main thread's stack, in MiB.
    pub stack_used_mb: Option<f64>,
    /// Anonymous resident memory, in MiB.
    pub anonymous_mb: Option<f64>,
    /// Resident pages of files, in MiB.
    pub file_cache_mb: Option<f64>,
    /// Resident shared memory, in MiB.
    pub shared_mb: Option<f64>,
    /// All resident memory of the process, in MiB.
    pub total_process_mb: Option<f64>,
    /// How much of the limit is used, in percent: of the container's, else of the machine's.
    pub memory_pressure_percent: Option<f64>,
    /// Page faults since the process started.
    pub page_faults: Option<u64>,
    /// Those that had to wait for a disk.
    pub major_page_faults: Option<u64>,
}
