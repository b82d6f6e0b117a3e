//! Slots at several resolutions: fine ones for the newest minutes, coarser ones further back.
//!
//! | age up to | one slot covers |
//! | --- | --- |
//! | 1 min | one collection, or 1 s of them |
//! | 2 min | 15 s |
//! | 5 min | 30 s |
//! | 15 min | 1 min |
//! | 1 h | 5 min |
//! | 3 h | 15 min |
//! | 6 h | 30 min |
//! | 12 h | 1 h |
//! | the retention | 3 h |
//!
//! So a window of any length is longer than asked by a third at most, mostly by a tenth; one
//! below a minute by one collection. Some eighty slots make a day.
//!
//! Slots are not merged across the few moments up to which somebody was told, so that what happened
//! after one of these can be told by itself.
//!
//! Where many series are busy this takes more memory than there is to be used. Then neighbours
//! are merged that make the least difference for their age, and where that is not enough, slots
//! older than five minutes give up half of their resolution, and half again: quantiles of long
//! windows are then off by 1.1 % or 2.2 %, and each answer says so.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Timestamp, saturating_nanos};
use crate::core::slot::Slot;

const MINUTE: u64 = 60;
const HOUR: u64 = 3600;

/// The width of the slots of a step, and the age from which on it is enough, both in seconds.
const STEPS: [(u64, u64); 8] = [
    (15, MINUTE),
    (30, 2 * MINUTE),
    (MINUTE, 5 * MINUTE),
    (5 * MINUTE, 15 * MINUTE),
    (15 * MINUTE, HOUR),
    (30 * MINUTE, 3 * HOUR),
    (HOUR, 6 * HOUR),
    (3 * HOUR, 12 * HOUR),
];

/// Collections that fit into so much are one slot: however often somebody collects, there is a
/// bound to the slots.
const FINEST: Duration = Duration::from_secs(1);

/// The scale of what was not made coarser, and the coarsest: 0.54 % and 2.2 %.
const FULL_SCALE: i8 = 6;
const LEAST_SCALE: i8 = 4;

/// Slots that end so long ago may be made coarser, so that a window of five minutes is mostly as
/// fine as it can be.
const COARSE_AGE: Duration = Duration::from_secs(5 * MINUTE);

/// By how much of itself a window of that age may become longer than asked where memory is short.
fn most_excess(age: Duration) -> f64 {
    if age > COARSE_AGE { 1.5 } else { 1.0 }
}

/// Slots that follow each other.
#[derive(Debug)]
pub(crate) struct Ladder {
    retention: Duration,
    max_bytes: usize,
    /// Oldest first.
    slots: Vec<Arc<Slot>>,
    /// Ends of slots that are not merged with those after them.
    apart: Vec<Timestamp>,
}

impl Ladder {
    /// Keeps what is younger than `retention`. Uses `max_bytes`; more only where a window would
    /// else become longer than asked by [`most_excess`], and quantiles are coarse already.
    pub(crate) fn new(retention: Duration, max_bytes: usize) -> Self {
        Self {
            retention,
            max_bytes,
            slots: Vec::new(),
            apart: Vec::new(),
        }
    }

    /// From the next slot on, keeps what is younger than this.
    pub(crate) const fn set_retention(&mut self, retention: Duration) {
        self.retention = retention;
    }

    /// From the next slot on, merges none across these moments, unless for want of memory.
    pub(crate) fn keep_apart(&mut self, moments: impl Iterator<Item = Timestamp>) {
        self.apart.clear();
        self.apart.extend(moments);
    }

    /// Appends the newest slot, and makes the older ones coarser where it is time.
    pub(crate) fn append(&mut self, slot: Slot) {
        let now = slot.until();
        self.push(Arc::new(slot));
        for (width, age) in STEPS {
            self.coarsen(
                Duration::from_secs(width),
                now.before(Duration::from_secs(age)),
            );
        }
        let oldest = now.before(self.retention);
        self.slots.retain(|slot| slot.until() > oldest);
        self.fit(now);
    }

    /// All slots, oldest first.
    pub(crate) fn slots(&self) -> &[Arc<Slot>] {
        &self.slots
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        let slots: usize = self.slots.iter().map(|slot| slot.heap_bytes()).sum();
        slots + self.slots.capacity() * size_of::<Arc<Slot>>()
    }

    fn push(&mut self, slot: Arc<Slot>) {
        // What was to be kept apart when the newest came, and is not any more.
        if let [.., older, newest] = self.slots.as_slice()
            && newest.until().since(older.since()) <= FINEST
            && !self.apart.contains(&older.until())
        {
            let both = merged(&[Arc::clone(older), Arc::clone(newest)]);
            self.slots.pop();
            if let Some(last) = self.slots.last_mut() {
                *last = both;
            }
        }
        if let Some(newest) = self.slots.last_mut()
            && slot.until().since(newest.since()) <= FINEST
            && !self.apart.contains(&newest.until())
        {
            *newest = merged(&[Arc::clone(newest), slot]);
        } else {
            self.slots.push(slot);
        }
    }

    /// Merges those that end up to `limit` and begin in the same cell of a grid of `width`, once
    /// the whole cell ends up to `limit`.
    fn coarsen(&mut self, width: Duration, limit: Timestamp) {
        let width = saturating_nanos(width).max(1);
        let cell = |slot: &Slot| slot.since().as_unix_nanos() / width;
        let newest = self.slots.last().map(|slot| cell(slot));
        let due = |group: &[Arc<Slot>]| {
            let ends = |slot: &Arc<Slot>| slot.until() <= limit && Some(cell(slot)) != newest;
            group.len() > 1 && group.last().is_some_and(ends)
        };
        let together =
            |a: &Arc<Slot>, b: &Arc<Slot>| cell(a) == cell(b) && !self.apart.contains(&a.until());
        let groups = self.slots.chunk_by(together);
        if !groups.clone().any(due) {
            return;
        }
        let mut slots = Vec::with_capacity(self.slots.len());
        for group in groups {
            if due(group) {
                slots.push(merged(group));
            } else {
                slots.extend_from_slice(group);
            }
        }
        self.slots = slots;
    }

    /// Makes all fit into what may be used: merges neighbours, then halves resolutions.
    fn fit(&mut self, now: Timestamp) {
        while self.heap_bytes() > self.max_bytes {
            if !self.merge_least(now) && !self.halve_resolution(now) {
                return;
            }
        }
    }

    /// Merges the neighbours that make the least difference for their age; none if a window would
    /// become longer than asked by [`most_excess`].
    fn merge_least(&mut self, now: Timestamp) -> bool {
        // By how much, at worst, a window becomes longer that ends in the merged slot, as a part
        // of what it may; and first those that are not to be kept apart.
        let excess = |pair: &[Arc<Slot>]| {
            let [older, newer] = pair else {
                return (true, f64::INFINITY);
            };
            let width = newer.until().since(older.since()).as_secs_f64();
            let age = now.since(newer.until());
            let excess = width / age.as_secs_f64() / most_excess(age);
            (self.apart.contains(&older.until()), excess)
        };
        let pairs = self.slots.windows(2).map(excess).enumerate();
        let mergeable = pairs.filter(|(_, (_, excess))| *excess < 1.0);
        let least = mergeable.min_by(|(_, a), (_, b)| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let Some((position, _)) = least else {
            return false;
        };
        let pair = position..position.saturating_add(2);
        let Some(both) = self.slots.get(pair.clone()).map(merged) else {
            return false;
        };
        self.slots.splice(pair, [both]);
        true
    }

    /// Halves the resolution of the finest of the older slots, of these the largest.
    fn halve_resolution(&mut self, now: Timestamp) -> bool {
        let limit = now.before(COARSE_AGE);
        let old = |slot: &Arc<Slot>| slot.until() <= limit;
        let older = self.slots.iter().take_while(|slot| old(slot)).enumerate();
        let older = older.map(|(place, slot)| (place, slot.scale().min(FULL_SCALE), slot));
        let chosen = older
            .filter(|(_, scale, _)| *scale > LEAST_SCALE)
            .max_by_key(|(_, scale, slot)| (*scale, slot.heap_bytes()));
        let Some((place, scale, slot)) = chosen else {
            return false;
        };
        let coarser = Arc::new(slot.coarser(scale.saturating_sub(1)));
        if let Some(slot) = self.slots.get_mut(place) {
            *slot = coarser;
        }
        true
    }
}

fn merged(slots: &[Arc<Slot>]) -> Arc<Slot> {
    Arc::new(Slot::merged(slots))
}
