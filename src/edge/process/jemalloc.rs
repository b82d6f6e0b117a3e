//! jemalloc's own accounts.

use crate::core::{memory::HeapSource, process::Heap};
use std::hint::black_box;
use tikv_jemalloc_ctl::{Result, epoch, epoch_mib, stats, thread};

/// jemalloc, as the program's global allocator.
pub(super) struct Allocator {
    figures: epoch_mib,
    allocated: stats::allocated_mib,
    resident: stats::resident_mib,
}

impl Allocator {
    /// jemalloc, if it is the global allocator: to be linked, as this feature has it, is not enough.
    pub(super) fn find() -> Option<Self> {
        if !is_global().unwrap_or(false) {
            return None;
        }
        Some(Self {
            figures: epoch::mib().ok()?,
            allocated: stats::allocated::mib().ok()?,
            resident: stats::resident::mib().ok()?,
        })
    }

    /// What it says of the heap.
    pub(super) fn heap(&self) -> Option<Heap> {
        // The figures are those of the last epoch.
        self.figures.advance().ok()?;
        let used = u64::try_from(self.allocated.read().ok()?).ok()?;
        let held = u64::try_from(self.resident.read().ok()?).ok()?;
        Some(Heap {
            source: HeapSource::Jemalloc,
            used,
            free: Some(held.saturating_sub(used)),
        })
    }
}

/// Whether what this thread allocates is counted by jemalloc.
fn is_global() -> Result<bool> {
    let allocated = thread::allocatedp::read()?;
    let before = allocated.get();
    drop(black_box(Vec::<u8>::with_capacity(black_box(64))));
    Ok(allocated.get() > before)
}

impl std::fmt::Debug for Allocator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Allocator").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_not_asked_where_it_is_not_the_allocator() {
        assert!(Allocator::find().is_none());
    }
}
