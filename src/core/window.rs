//! All that was collected: slots for windows up to the retention, and totals since the start.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::config::WINDOW_MEMORY;
use crate::core::aggregate::{Aggregate, Keep};
use crate::core::ladder::Ladder;
use crate::core::series::{Collection, SeriesKey, Value};
use crate::core::slot::{Entries, Slot};
use crate::core::totals::{Totals, TotalsRecorder};

/// Which time an answer is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Window {
    /// All since the monitor was built.
    #[default]
    SinceStart,
    /// The last so much, up to the retention. What an answer really covers is a little longer, as
    /// it consists of whole collections, further back of whole minutes or hours; it is shorter
    /// while the monitor has not run for as long. The answer says.
    Last(Duration),
}

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WindowConfig {
    /// For how long windows reach back.
    pub(crate) retention: Duration,
    /// How many bytes the slots may take before they are made coarser.
    pub(crate) max_bytes: usize,
    /// How many series are kept apart; what is beyond goes to one more for each metric.
    pub(crate) max_series: usize,
}

impl Default for WindowConfig {
    /// A day, and 10,000 series.
    fn default() -> Self {
        Self {
            retention: Duration::from_secs(24 * 3600),
            max_bytes: WINDOW_MEMORY,
            max_series: 10_000,
        }
    }
}

/// Keeps collections, in bounded memory.
#[derive(Debug)]
pub(crate) struct Windows {
    config: WindowConfig,
    ladder: Ladder,
    totals: TotalsRecorder,
}

/// What [`Windows`] kept, at one moment; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    /// Oldest first.
    pub(crate) slots: Arc<[Arc<Slot>]>,
    /// Since the start.
    pub(crate) totals: Totals,
    /// For how long windows reach back.
    pub(crate) retention: Duration,
}

impl Windows {
    /// With nothing in it.
    pub(crate) fn new(config: WindowConfig) -> Self {
        Self {
            config,
            ladder: Ladder::new(config.retention, config.max_bytes),
            totals: TotalsRecorder::new(config.max_series),
        }
    }

    /// From now on, keeps what is younger than this; what was forgotten does not come back.
    pub(crate) fn set_retention(&mut self, retention: Duration) {
        self.config.retention = retention;
        self.ladder.set_retention(retention);
    }

    /// From the next collection on, slots are not merged across these moments.
    pub(crate) fn keep_apart(&mut self, moments: impl Iterator<Item = Timestamp>) {
        self.ladder.keep_apart(moments);
    }

    /// Appends a collection, which begins where the one before it ended.
    pub(crate) fn append(&mut self, collection: Collection) {
        self.append_with(collection, std::iter::empty());
    }

    /// The same, with `more` points.
    pub(crate) fn append_with(
        &mut self,
        collection: Collection,
        more: impl Iterator<Item = (SeriesKey, Value)>,
    ) {
        let Collection {
            since,
            until,
            points,
            metrics,
        } = collection;
        self.totals.describe(metrics);
        // Each is packed at once: unpacked, all of them together would take far more.
        let mut entries = Entries::default();
        for (key, value) in points.into_iter().chain(more) {
            if value.is_idle() {
                continue;
            }
            let keep = Keep::of(&key.metric);
            if keep.is_none() && !matches!(value, Value::Exponential(_)) {
                // The host's own: nobody asks here, and it must not take the place of ours.
                continue;
            }
            let aggregate = Aggregate::from_value(&key.metric, value);
            let id = self.totals.add(&key, &aggregate, until);
            let Some(keep) = keep else {
                continue;
            };
            entries.add(id, aggregate.reduced(keep));
        }
        self.ladder.append(entries.finish(since, until));
    }

    /// What is kept now.
    pub(crate) fn history(&self) -> History {
        History {
            slots: self.ladder.slots().into(),
            totals: self.totals.totals(),
            retention: self.config.retention,
        }
    }

    /// Bytes on the heap, near enough: of the slots, and of the totals.
    pub(crate) fn heap_bytes(&self) -> (usize, usize) {
        (self.ladder.heap_bytes(), self.totals.heap_bytes())
    }
}

impl History {
    /// The fewest newest slots that together cover `duration`, or all there are; oldest first.
    pub(crate) fn last(&self, duration: Duration) -> &[Arc<Slot>] {
        let Some(newest) = self.slots.last() else {
            return &[];
        };
        let wanted = newest.until().before(duration);
        let newest_first = self.slots.iter().rev();
        // The slot that covers `wanted` is the last that is needed.
        let before_wanted = newest_first
            .take_while(|slot| slot.since() > wanted)
            .count();
        let count = before_wanted.saturating_add(1).min(self.slots.len());
        let first = self.slots.len().saturating_sub(count);
        self.slots.get(first..).unwrap_or_default()
    }

    /// Bytes on the heap beyond what is shared with the windows.
    pub(crate) fn heap_bytes(&self) -> usize {
        size_of_val(&*self.slots) + size_of_val(&*self.totals.series)
    }

    /// The time that `slots` cover.
    pub(crate) fn covered(slots: &[Arc<Slot>]) -> Option<(Timestamp, Timestamp)> {
        Some((slots.first()?.since(), slots.last()?.until()))
    }
}

#[cfg(test)]
mod tests;
