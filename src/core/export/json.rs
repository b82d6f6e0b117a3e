//! JSON: the report, then the recent events, then every point that it was made from.

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::core::events::PerformanceEvent;
use crate::core::export::escape::json;
use crate::core::export::extent::Extent;
use crate::core::export::points::{Point, Points};
use crate::core::export::{PART, Source};
use crate::core::series::Labels;
use crate::core::snapshot::Snapshot;
use crate::core::views::{self, PerformanceReport, ViewError};
use crate::core::window::Window;

/// What an export as JSON has: for its description, since it is never whole in memory.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "described, not made")]
pub(crate) struct JsonExport<'a> {
    #[schemars(flatten)]
    report: PerformanceReport,
    /// What was asked for, in Unix seconds; `null` for all since the start.
    since: Option<f64>,
    /// Whether the numbers begin at exactly that time.
    is_exact: bool,
    /// The recent events that are within the window, newest last.
    recent_events: Vec<PerformanceEvent>,
    /// What the report was made from: one for each series, or with a `since` for each slot of
    /// time and series.
    points: Vec<JsonPoint<'a>>,
}

/// One JSON object.
#[derive(Debug)]
pub(crate) struct Json {
    snapshot: Arc<Snapshot>,
    extent: Arc<Extent>,
    events: Vec<PerformanceEvent>,
    points: Points,
    next: Part,
}

/// What comes next.
#[derive(Debug, Clone, Copy)]
enum Part {
    Report,
    FirstPoints,
    Points,
}

impl Json {
    /// `events` are the recent ones, newest last.
    pub(crate) fn new(
        snapshot: Arc<Snapshot>,
        extent: Arc<Extent>,
        events: Vec<PerformanceEvent>,
    ) -> Self {
        let points = Points::new(Arc::clone(&snapshot), Arc::clone(&extent));
        Self {
            snapshot,
            extent,
            events,
            points,
            next: Part::Report,
        }
    }

    fn report(&mut self, to: &mut Vec<u8>) -> io::Result<()> {
        let report = report(&self.snapshot, &self.extent).map_err(io::Error::other)?;
        json(&report, to)?;
        drop(report);
        // What follows belongs to the same object.
        if to.last() == Some(&b'}') {
            to.pop();
        }
        to.extend_from_slice(b",\"since\":");
        let since = self.extent.since.map(|since| since.as_unix_seconds());
        json(&since, to)?;
        to.extend_from_slice(b",\"is_exact\":");
        json(&self.extent.is_exact(self.snapshot.started), to)?;
        to.extend_from_slice(b",\"recent_events\":");
        let extent = &self.extent;
        let mut events = std::mem::take(&mut self.events);
        events.retain(|event| extent.has(event.timestamp));
        json(&events, to)?;
        to.extend_from_slice(b",\"points\":[");
        Ok(())
    }

    fn points(&mut self, mut is_first: bool, to: &mut Vec<u8>) -> io::Result<bool> {
        let enough = to.len().saturating_add(PART);
        let mut written = Ok(());
        let more = self.points.each(|point| {
            if !std::mem::take(&mut is_first) {
                to.push(b',');
            }
            written = json(&JsonPoint::of(&point), to);
            if written.is_err() || to.len() >= enough {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        written?;
        if !more {
            to.extend_from_slice(b"]}");
        }
        Ok(more)
    }
}

impl Source for Json {
    fn more(&mut self, to: &mut Vec<u8>) -> io::Result<bool> {
        match self.next {
            Part::Report => {
                self.next = Part::FirstPoints;
                self.report(to).map(|()| true)
            }
            Part::FirstPoints => {
                self.next = Part::Points;
                self.points(true, to)
            }
            Part::Points => self.points(false, to),
        }
    }
}

/// The report over exactly the slots of `extent`.
fn report(snapshot: &Snapshot, extent: &Extent) -> Result<PerformanceReport, ViewError> {
    if extent.since.is_none() {
        return views::report(snapshot, Window::SinceStart);
    }
    let mut snapshot = snapshot.clone();
    let mut window = extent.end.since(extent.start);
    if extent.slots.is_empty() {
        // Nothing was collected since: a window of no length, which cannot be asked for.
        snapshot.history.slots = Arc::default();
        window = Duration::from_nanos(1);
    }
    // The oldest slot may begin a little before what is kept.
    snapshot.history.retention = snapshot.history.retention.max(window);
    views::report(&snapshot, Window::Last(window))
}

/// What one series did within some time.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ExportPoint")]
struct JsonPoint<'a> {
    /// The moment after which it begins, in Unix seconds.
    window_start: f64,
    /// The moment up to which it goes, in Unix seconds.
    window_end: f64,
    /// The instrumentation scope that recorded it.
    scope: &'a str,
    /// The name of the metric.
    metric: &'a str,
    /// `histogram`, `sum` or `gauge`.
    kind: &'static str,
    /// Of `sum` and all after it.
    unit: &'a str,
    /// What tells the series from others of the metric.
    #[schemars(with = "BTreeMap<String, String>")]
    attributes: Attributes<'a>,
    /// How many values, of a gauge how many readings; `null` for a sum.
    count: Option<u64>,
    /// Their sum, or the sum itself.
    sum: f64,
    /// The least value, if it is known.
    min: Option<f64>,
    /// The largest value, if it is known.
    max: Option<f64>,
    /// The median; `null` without buckets.
    p50: Option<f64>,
    /// The value that 95 of 100 do not exceed.
    p95: Option<f64>,
    /// The value that 99 of 100 do not exceed.
    p99: Option<f64>,
    /// What was read last of a gauge.
    last: Option<f64>,
}

impl<'a> JsonPoint<'a> {
    fn of(point: &'a Point<'_>) -> Self {
        Self {
            window_start: point.start.as_unix_seconds(),
            window_end: point.end.as_unix_seconds(),
            scope: &point.key.scope,
            metric: &point.key.metric,
            kind: point.kind(),
            unit: point.info.map_or("", |info| &info.unit),
            attributes: Attributes(&point.key.labels),
            count: point.count(),
            sum: point.aggregate.sum(),
            min: point.aggregate.min(),
            max: point.aggregate.max(),
            p50: point.quantile(0.5),
            p95: point.quantile(0.95),
            p99: point.quantile(0.99),
            last: point.last(),
        }
    }
}

struct Attributes<'a>(&'a Labels);

impl Serialize for Attributes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        for (key, value) in self.0.iter() {
            object.serialize_entry(key, value)?;
        }
        object.end()
    }
}
