//! The memory of the process, as the views show it.

use schemars::JsonSchema;
use serde::Serialize;

/// How much memory the process uses. What cannot be had is `null`.
///
/// On Linux, from `/proc/self/status` where nothing else is said; there,
/// `anonymous_mb + file_cache_mb + shared_mb` is `total_process_mb`. Elsewhere there is what
/// sysinfo knows: all resident memory, and the limit. `_mb` is MiB, 1,048,576 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct MemoryMetrics {
    /// Heap in use, in MiB, as [`heap_source`](Self::heap_source) tells it.
    pub heap_used_mb: Option<f64>,
    /// Heap that the allocator holds and nobody uses, in MiB, as
    /// [`heap_source`](Self::heap_source) tells it.
    pub heap_free_mb: Option<f64>,
    /// Who tells how much heap is used, and so what the two figures mean.
    pub heap_source: Option<HeapSource>,
    /// The main thread's stack, in MiB (`VmStk`). The stacks of other threads are anonymous
    /// memory, which the kernel does not tell apart.
    pub stack_used_mb: Option<f64>,
    /// Anonymous resident memory: heap, stacks and private pages that were written to, in MiB
    /// (`RssAnon`).
    pub anonymous_mb: Option<f64>,
    /// Resident pages of files, the program itself among them, in MiB (`RssFile`).
    pub file_cache_mb: Option<f64>,
    /// Resident shared memory: shm, tmpfs and shared anonymous mappings, in MiB (`RssShmem`).
    pub shared_mb: Option<f64>,
    /// All resident memory of the process, in MiB (`VmRSS`).
    pub total_process_mb: Option<f64>,
    /// The most that it ever was, in MiB (`VmHWM`).
    pub peak_process_mb: Option<f64>,
    /// What was moved to swap, in MiB (`VmSwap`).
    pub swapped_mb: Option<f64>,
    /// Resident memory that no other process shares: what would be free if this one ended, in MiB
    /// (`Private_Clean` and `Private_Dirty` of `/proc/self/smaps_rollup`). It takes the kernel a
    /// walk over all pages, during which nobody can map memory: so it is up to a minute old, and
    /// `null` with more than 64 MiB resident.
    pub private_mb: Option<f64>,
    /// `total_process_mb` over `memory_limit_mb`, in percent: at 100 the process is killed, or
    /// others on its machine are.
    pub memory_pressure_percent: Option<f64>,
    /// How much resident memory would kill the process, in MiB.
    pub memory_limit_mb: Option<f64>,
    /// Whose limit that is.
    pub memory_limit_source: Option<MemoryLimitSource>,
    /// Page faults since the process started: minor and major ones (`getrusage`).
    pub page_faults: Option<u64>,
    /// Those that had to wait for a disk (`getrusage`).
    pub major_page_faults: Option<u64>,
}

/// Who tells how much heap is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HeapSource {
    /// jemalloc, asked by the feature `jemalloc` of this crate, if it is the program's global
    /// allocator. In use is `stats.allocated`: bytes that the program asked for and has not freed.
    /// Free is the rest of `stats.resident`: what is torn between these, dirty pages, and
    /// jemalloc's own.
    Jemalloc,
    /// The kernel. glibc's allocator cannot be asked safely; mimalloc can, but its threads keep their
    /// figures to themselves for as long as they like, so that a block of any size that another
    /// thread allocated or freed may be missing. In use is the anonymous
    /// resident memory but for the main thread's stack (`RssAnon` − `VmStk`); it includes the
    /// stacks of other threads, and what the allocator keeps for later. Free is what the allocator
    /// gave back and the kernel has not taken yet (`LazyFree` of `/proc/self/smaps_rollup`): the
    /// least that it can be, zero with an allocator that never does so, up to a minute old, and
    /// `null` with more than 64 MiB resident.
    KernelAnonymous,
}

impl HeapSource {
    /// As in JSON, and in the attribute `aimux.heap.source`.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Jemalloc => "jemalloc",
            Self::KernelAnonymous => "kernel_anonymous",
        }
    }
}

/// Whose limit it is that would kill the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MemoryLimitSource {
    /// Its control group's or that of one above, as a container has: the smallest `memory.max` on
    /// the path of the process, or `memory.limit_in_bytes` where the first version of control
    /// groups is in use.
    Cgroup,
    /// All of the machine's memory: no control group allows less.
    Machine,
}
