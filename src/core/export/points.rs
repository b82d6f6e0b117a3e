//! What an export tells: one point for each series, or for each slot and series.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::core::aggregate::Aggregate;
use crate::core::export::extent::Extent;
use crate::core::packed::Packed;
use crate::core::series::{MetricInfo, SeriesKey};
use crate::core::snapshot::Snapshot;
use crate::core::totals::{MetricInfos, Total};

/// What one series did in `(start, end]`.
#[derive(Debug, Clone)]
pub(crate) struct Point<'a> {
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
    pub(crate) key: &'a SeriesKey,
    /// What the metric says of itself, if it does.
    pub(crate) info: Option<&'a MetricInfo>,
    pub(crate) aggregate: Aggregate,
}

impl Point<'_> {
    /// What kind of number it is, in one word.
    pub(crate) const fn kind(&self) -> &'static str {
        match self.aggregate {
            Aggregate::Exponential(_) | Aggregate::Classic(_) | Aggregate::Summary { .. } => {
                "histogram"
            }
            Aggregate::Sum(_) | Aggregate::Money(_) => "sum",
            Aggregate::Level(_) => "gauge",
        }
    }

    /// How many values, of a gauge how many readings; none for a sum.
    pub(crate) fn count(&self) -> Option<u64> {
        (self.kind() != "sum").then(|| self.aggregate.count())
    }

    /// What was read last; none for what is not a gauge.
    pub(crate) const fn last(&self) -> Option<f64> {
        match &self.aggregate {
            Aggregate::Level(level) => Some(level.last),
            _ => None,
        }
    }

    /// The value of nearest rank, within the error of its buckets; none where there are no buckets.
    pub(crate) fn quantile(&self, q: f64) -> Option<f64> {
        self.aggregate.quantile(q).map(|(value, _)| value)
    }
}

/// Goes through the points, one after the other, and can stop after any: nothing is unpacked but
/// the one that is looked at.
#[derive(Debug)]
pub(crate) struct Points {
    snapshot: Arc<Snapshot>,
    extent: Arc<Extent>,
    slot: usize,
    entry: usize,
}

impl Points {
    pub(crate) fn new(snapshot: Arc<Snapshot>, extent: Arc<Extent>) -> Self {
        Self {
            snapshot,
            extent,
            slot: 0,
            entry: 0,
        }
    }

    /// Hands points on until `each` breaks; whether there are more.
    pub(crate) fn each(&mut self, mut each: impl FnMut(Point<'_>) -> ControlFlow<()>) -> bool {
        let snapshot = Arc::clone(&self.snapshot);
        let extent = Arc::clone(&self.extent);
        let series = &snapshot.history.totals.series;
        let metrics = &snapshot.history.totals.metrics;
        if extent.since.is_none() {
            for total in series.iter().skip(self.entry) {
                self.entry = self.entry.saturating_add(1);
                let times = (extent.start, extent.end);
                if each(point(total, total.packed(), metrics, times)).is_break() {
                    return true;
                }
            }
            return false;
        }
        while let Some(slot) = extent.slots.get(self.slot) {
            for (id, packed) in slot.entries().skip(self.entry) {
                self.entry = self.entry.saturating_add(1);
                let Some(total) = series.get(id as usize) else {
                    continue;
                };
                let times = (slot.since(), slot.until());
                if each(point(total, packed, metrics, times)).is_break() {
                    return true;
                }
            }
            self.slot = self.slot.saturating_add(1);
            self.entry = 0;
        }
        false
    }
}

fn point<'a>(
    total: &'a Total,
    packed: Packed<'_>,
    metrics: &'a MetricInfos,
    (start, end): (Timestamp, Timestamp),
) -> Point<'a> {
    let key = total.key();
    let name = (Arc::clone(&key.scope), Arc::clone(&key.metric));
    Point {
        start,
        end,
        key,
        info: metrics.get(&name),
        aggregate: packed.unpack(),
    }
}
