//! The memory of the process, and how it changed.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::core::aggregate::Aggregate;
use crate::core::alerts::rule::{AlertMetric, AlertScope};
use crate::core::alerts::view::AlertDetail;
use crate::core::level::Level;
use crate::core::memory::MemoryMetrics;
use crate::core::process::MEBIBYTE;
use crate::core::slot::{SeriesId, Slot};
use crate::core::snapshot::Snapshot;
use crate::core::trend::{self, Point, PressureTrend};
use crate::core::views::process::{self, ProcessMetrics};
use crate::core::views::reading::Reading;
use crate::core::views::stats::ErrorBound;
use crate::core::views::{Coverage, ViewError};
use crate::core::window::{History, Window};
use crate::names;

/// Slots are taken together until each covers at least this share of all: further back they are
/// coarse, and the last minutes must not outweigh the day.
const POINTS: u32 = 48;

/// The pressure has to change by so much over the time analyzed for a trend, in percentage points.
const MATTERS: f64 = 1.0;

/// The memory, and how it changed: the answer of `/performance/memory`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct MemoryView {
    /// What the answer is about.
    #[serde(flatten)]
    pub coverage: Coverage,
    /// The memory at the last collection.
    pub current: MemoryMetrics,
    /// How it changed.
    pub trends: MemoryTrends,
    /// One text for each alert that fires on memory or CPU.
    pub alerts: Vec<String>,
    /// CPU, network, input and output.
    #[serde(flatten)]
    pub process: ProcessMetrics,
}

/// How the memory changed over the window, or without one over all that is kept: the retention at
/// the most.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct MemoryTrends {
    /// The time that the figures below are about, in hours: what is kept of the window. It begins
    /// with the monitor, so shortly after it started this is little.
    pub hours_analyzed: f64,
    /// The average of `heap_used_mb` over the collections in that time, in MiB; `null` before the
    /// first.
    pub average_heap_mb: Option<f64>,
    /// The least, in MiB.
    pub min_heap_mb: Option<f64>,
    /// The most, in MiB.
    pub max_heap_mb: Option<f64>,
    /// Where `memory_pressure_percent` is going.
    ///
    /// The slope is the median of the slopes between all pairs of points, after Theil and Sen
    /// (1968). It is a trend if it comes to at least one percentage point over the time analyzed,
    /// and if the test of Mann and Kendall finds it significant at 5 %; else it is `stable`. So it
    /// is also while there are fewer than eight points, which `pressure_points` says. A point is
    /// the average of some collections: there are 48 or fewer, further back as far apart as the
    /// slots that are kept.
    pub pressure_trend: PressureTrend,
    /// The slope, in percentage points an hour; `null` with fewer than eight points.
    pub pressure_percent_per_hour: Option<f64>,
    /// How many points that is made of.
    pub pressure_points: usize,
}

/// The memory now, and how it changed in `window`.
pub(crate) fn memory(snapshot: &Snapshot, window: Window) -> Result<MemoryView, ViewError> {
    let reading = Reading::new(snapshot, window, &process::METRICS, |_| true)?;
    let history = &snapshot.history;
    let slots = match window {
        Window::SinceStart => &history.slots,
        Window::Last(duration) => history.last(duration),
    };
    Ok(MemoryView {
        coverage: reading.coverage(ErrorBound::default()),
        current: snapshot.memory,
        trends: trends(snapshot, slots),
        alerts: alerts(snapshot),
        process: process::of_reading(&reading),
    })
}

fn alerts(snapshot: &Snapshot) -> Vec<String> {
    let is_of_the_process = |detail: &&AlertDetail| {
        let metric = AlertMetric::from_name(&detail.metric);
        metric.is_some_and(|metric| metric.default_scope() == AlertScope::Process)
    };
    let firing = snapshot.alerts.firing().filter(is_of_the_process);
    firing.map(AlertDetail::text).collect()
}

fn trends(snapshot: &Snapshot, slots: &[Arc<Slot>]) -> MemoryTrends {
    let Some((since, until)) = History::covered(slots) else {
        return MemoryTrends::default();
    };
    let mut heap = Level::default();
    for (_, _, level) in levels(snapshot, slots, names::PROCESS_HEAP_USAGE) {
        heap.merge(&level);
    }
    let mb = |bytes: f64| bytes / MEBIBYTE;
    let any = |bytes: f64| (heap.count > 0).then(|| mb(bytes));
    let points = points(
        &levels(snapshot, slots, names::PROCESS_MEMORY_PRESSURE),
        since,
        until,
    );
    let found = trend::trend(&points, MATTERS);
    MemoryTrends {
        hours_analyzed: until.since(since).as_secs_f64() / 3_600.0,
        average_heap_mb: heap.average().map(mb),
        min_heap_mb: any(heap.min),
        max_heap_mb: any(heap.max),
        pressure_trend: found.direction,
        pressure_percent_per_hour: found.slope.map(|slope| slope * 3_600.0),
        pressure_points: points.len(),
    }
}

/// The readings of a gauge without labels of its own, or with ones that never change: for each
/// slot, oldest first.
fn levels(
    snapshot: &Snapshot,
    slots: &[Arc<Slot>],
    metric: &str,
) -> Vec<(Timestamp, Timestamp, Level)> {
    let ids = ids(snapshot, metric);
    let level = |slot: &Arc<Slot>| {
        let mut level = Level::default();
        for (id, packed) in slot.entries() {
            if ids.contains(&id)
                && let Aggregate::Level(of_slot) = packed.unpack()
            {
                level.merge(&of_slot);
            }
        }
        (slot.since(), slot.until(), level)
    };
    slots.iter().map(level).collect()
}

/// The series of `metric` that this crate recorded: another library may mean another process.
fn ids(snapshot: &Snapshot, metric: &str) -> Vec<SeriesId> {
    let series = snapshot.history.totals.series.iter().zip(0..);
    series
        .filter(|(total, _)| {
            let key = total.key();
            &*key.metric == metric && &*key.scope == names::SCOPE
        })
        .map(|(_, id)| id)
        .collect()
}

/// The averages of neighbouring slots, in percent, at the middle of their time.
fn points(
    levels: &[(Timestamp, Timestamp, Level)],
    since: Timestamp,
    until: Timestamp,
) -> Vec<Point> {
    let least = until.since(since) / POINTS;
    let mut groups: Vec<(Timestamp, Timestamp, Level)> = Vec::new();
    for (since, until, level) in levels {
        match groups.last_mut() {
            // Some tolerance: collections are not to the nanosecond.
            Some(group) if group.1.since(group.0) < least - least / 20 => {
                group.1 = *until;
                group.2.merge(level);
            }
            _ => groups.push((*since, *until, *level)),
        }
    }
    let point = |(from, to, level): &(Timestamp, Timestamp, Level)| {
        Some(Point {
            at: (from.since(since) + to.since(since)).as_secs_f64() / 2.0,
            value: 100.0 * level.average()?,
        })
    };
    groups.iter().filter_map(point).collect()
}

#[cfg(test)]
mod tests;
