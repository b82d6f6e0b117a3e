//! What the operating system and the allocator tell of this process.

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(feature = "jemalloc")]
mod jemalloc;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
mod text;
#[cfg(not(feature = "jemalloc"))]
mod unasked;
#[cfg(unix)]
mod usage;

#[cfg(not(target_os = "linux"))]
use elsewhere as system;
#[cfg(target_os = "linux")]
use linux as system;

#[cfg(feature = "jemalloc")]
use jemalloc::Allocator;
#[cfg(not(feature = "jemalloc"))]
use unasked::Allocator;

use crate::{clock::Timestamp, core::process::ProcessSample};

/// Takes samples of this process. One thread does so, at each collection.
#[derive(Debug)]
pub(crate) struct Process {
    system: system::System,
    allocator: Option<Allocator>,
}

impl Process {
    pub(crate) fn new() -> Self {
        Self {
            system: system::System::new(),
            allocator: Allocator::find(),
        }
    }

    /// Looks at what takes longer, if it is time, for the samples that follow: some milliseconds in
    /// a minute.
    pub(crate) fn look_closer(&mut self, now: Timestamp) {
        self.system.look_closer(now);
    }

    /// The figures at `now`; those that cannot be had are `None`.
    pub(crate) fn sample(&mut self, now: Timestamp) -> ProcessSample {
        let mut sample = self.system.sample(now);
        #[cfg(unix)]
        usage::add(&mut sample);
        if let Some(allocator) = &self.allocator {
            // What the kernel told stands in for an allocator that does not answer.
            sample.heap = allocator.heap().or(sample.heap);
        }
        sample
    }
}

#[cfg(test)]
mod tests;
