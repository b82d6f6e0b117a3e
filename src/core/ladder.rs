//! Slots at several resolutions: fine ones for the newest minutes, coarser ones further back.
//!
//! | age up to | one slot covers | a window that ends here is too long by at most |
//! | --- | --- | --- |
//! | 1 min | one collection, or 1 s of them | one collection |
//! | 5 min | 30 s | 30 s |
//! | 15 min | 1 min | 1 min |
//! | 1 h | 5 min | 5 min |
//! | 6 h | 30 min | 30 min |
//! | the retention, at most 48 h | 2 h | 2 h |
//!
//! So a window is longer than asked by a tenth or so, at every length, and 24 hours fit in some
//! sixty slots. When a slot has outlived its step it is merged, together with its neighbours of
//! the same cell of the next step's grid, once all of these have outlived it too.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Timestamp, saturating_nanos};
use crate::core::slot::Slot;

/// The width of a step's slots, and the age up to which they are kept.
const STEPS: [(Duration, Duration); 6] = [
    (Duration::from_secs(1), Duration::from_secs(60)),
    (Duration::from_secs(30), Duration::from_secs(5 * 60)),
    (Duration::from_secs(60), Duration::from_secs(15 * 60)),
    (Duration::from_secs(5 * 60), Duration::from_secs(3600)),
    (Duration::from_secs(30 * 60), Duration::from_secs(6 * 3600)),
    (Duration::from_secs(2 * 3600), Duration::MAX),
];

/// Slots that follow each other, newest last.
#[derive(Debug)]
pub(crate) struct Ladder {
    retention: Duration,
    /// Finest first.
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    width: Duration,
    keep: Duration,
    slots: VecDeque<Arc<Slot>>,
}

impl Ladder {
    /// Keeps what is younger than `retention`.
    pub(crate) fn new(retention: Duration) -> Self {
        let steps = STEPS.iter().map(|&(width, keep)| Step {
            width,
            keep,
            slots: VecDeque::new(),
        });
        Self {
            retention,
            steps: steps.collect(),
        }
    }

    /// Appends the newest slot, and makes the older ones coarser where it is time.
    pub(crate) fn append(&mut self, slot: Slot) {
        let now = slot.until();
        if let Some(finest) = self.steps.first_mut() {
            finest.append(slot);
        }
        // From the fine to the coarse, so that after a long pause one pass does it all.
        for position in 1..self.steps.len() {
            if let Some([finer, coarser]) = self.steps.get_mut(position - 1..=position) {
                while let Some(merged) = finer.outlived(coarser.width, now) {
                    coarser.slots.push_back(merged);
                }
            }
        }
        let oldest = now.before(self.retention);
        for step in &mut self.steps {
            while step
                .slots
                .front()
                .is_some_and(|slot| slot.until() <= oldest)
            {
                step.slots.pop_front();
            }
        }
    }

    /// All slots, oldest first.
    pub(crate) fn slots(&self) -> Arc<[Arc<Slot>]> {
        let coarsest_first = self.steps.iter().rev();
        coarsest_first
            .flat_map(|step| step.slots.iter().cloned())
            .collect()
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        let of_step = |step: &Step| {
            let slots: usize = step.slots.iter().map(|slot| slot.heap_bytes()).sum();
            slots + step.slots.capacity() * size_of::<Arc<Slot>>()
        };
        self.steps.iter().map(of_step).sum()
    }
}

impl Step {
    /// Appends `slot`, to the newest one if both fit into the width of one: however often
    /// somebody collects, there is a bound to the slots.
    fn append(&mut self, slot: Slot) {
        let slot = Arc::new(slot);
        if let Some(newest) = self.slots.back_mut()
            && slot.until().since(newest.since()) <= self.width
            && let Some(merged) = Slot::merged(&[Arc::clone(newest), Arc::clone(&slot)])
        {
            *newest = Arc::new(merged);
            return;
        }
        self.slots.push_back(slot);
    }

    /// Takes the oldest slots that make one cell of `width`, if all are too old for this step.
    fn outlived(&mut self, width: Duration, now: Timestamp) -> Option<Arc<Slot>> {
        let cell = cell(self.slots.front()?, width);
        let size = self
            .slots
            .iter()
            .take_while(|slot| self::cell(slot, width) == cell)
            .count();
        // The newest cell is not complete yet.
        let newest = self.slots.get(size.checked_sub(1)?)?;
        self.slots.get(size)?;
        if newest.until() > now.before(self.keep) {
            return None;
        }
        let slots: Vec<_> = self.slots.drain(..size).collect();
        match slots.as_slice() {
            [only] => Some(Arc::clone(only)),
            several => Slot::merged(several).map(Arc::new),
        }
    }
}

/// Which cell of a grid of `width` a slot begins in.
fn cell(slot: &Slot, width: Duration) -> u64 {
    let width = saturating_nanos(width).max(1);
    slot.since().as_unix_nanos() / width
}
