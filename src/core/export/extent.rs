//! Which time an export is about, and what of it is still known.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::core::slot::Slot;
use crate::core::snapshot::Snapshot;
use crate::core::window::History;

/// Ends of exports that are remembered.
const REMEMBERED: usize = 16;

/// Up to when the last exports go: who asks for what changed since one of these gets exactly that.
#[derive(Debug, Default)]
pub(crate) struct Told(VecDeque<Timestamp>);

impl Told {
    /// Remembers the end of an export, in the place of the oldest if there is no other.
    pub(crate) fn add(&mut self, end: Timestamp) {
        if self.0.contains(&end) {
            return;
        }
        if self.0.len() >= REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(end);
    }

    /// The ends that are remembered.
    pub(crate) fn ends(&self) -> impl Iterator<Item = Timestamp> + use<> {
        self.0.clone().into_iter()
    }
}

/// Which time an export is about.
#[derive(Debug, Clone)]
pub(crate) struct Extent {
    /// What was asked for: all since the start, or what changed since.
    pub(crate) since: Option<Timestamp>,
    /// The moment after which the numbers begin.
    pub(crate) start: Timestamp,
    /// The moment up to which they go.
    pub(crate) end: Timestamp,
    /// The slots that ended since, oldest first; none where totals are told.
    pub(crate) slots: Vec<Arc<Slot>>,
}

impl Extent {
    /// What `snapshot` knows of the time since.
    pub(crate) fn of(snapshot: &Snapshot, since: Option<Timestamp>) -> Self {
        let end = snapshot.collected_at;
        let slots = match since {
            Some(since) => changed(&snapshot.history, since),
            None => Vec::new(),
        };
        let start = match (since, slots.first()) {
            (None, _) => snapshot.started,
            (Some(_), Some(first)) => first.since(),
            (Some(_), None) => end,
        };
        Self {
            since,
            start,
            end,
            slots,
        }
    }

    /// Whether the numbers are of exactly what was asked for. Else they begin earlier, as what is
    /// older is kept in coarser slots, or later, as what is older still is not kept.
    pub(crate) fn is_exact(&self, started: Timestamp) -> bool {
        match self.since {
            None => true,
            Some(since) if since < started => self.start == started,
            Some(since) => self.slots.is_empty() || micros(self.start) == micros(since),
        }
    }

    /// Whether something that ended at `time` is told.
    pub(crate) fn has(&self, time: Timestamp) -> bool {
        time <= self.end && self.since.is_none_or(|since| is_after(time, since))
    }
}

/// The slots that ended after `since`.
fn changed(history: &History, since: Timestamp) -> Vec<Arc<Slot>> {
    let ended_after = |slot: &&Arc<Slot>| is_after(slot.until(), since);
    history.slots.iter().filter(ended_after).cloned().collect()
}

/// Whether `time` is after `since`, to the microsecond: Unix seconds are told with no more, and
/// who asks for what changed since the end of an answer must not get its last slot again.
pub(crate) fn is_after(time: Timestamp, since: Timestamp) -> bool {
    micros(time) > micros(since)
}

fn micros(time: Timestamp) -> u64 {
    time.as_unix_nanos() / 1_000
}
