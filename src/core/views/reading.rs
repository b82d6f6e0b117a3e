//! What the series of some metrics did in a window: the one pass over the slots of each view.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::core::aggregate::Aggregate;
use crate::core::series::SeriesKey;
use crate::core::slot::Slot;
use crate::core::snapshot::Snapshot;
use crate::core::totals::Totals;
use crate::core::views::stats::ErrorBound;
use crate::core::views::{Coverage, ViewError};
use crate::core::window::{History, Window};
use crate::names;

/// What "per second" is taken over.
const RATE_WINDOW: Duration = Duration::from_secs(60);

/// What a provider's health is judged by.
const HEALTH_WINDOW: Duration = Duration::from_secs(5 * 60);

/// What the series of some metrics did in a window.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    pub(crate) snapshot: &'a Snapshot,
    series: Vec<SeriesReading<'a>>,
    /// The time that [`SeriesReading::last_minute`] really covers.
    pub(crate) last_minute_seconds: f64,
    start: Timestamp,
    end: Timestamp,
    sources: BTreeMap<&'a str, &'a str>,
}

/// What one series did in a window.
#[derive(Debug)]
pub(crate) struct SeriesReading<'a> {
    pub(crate) key: &'a SeriesKey,
    /// None if it did nothing.
    pub(crate) aggregate: Option<Aggregate>,
    /// How many values in the last minute.
    pub(crate) last_minute: u64,
    /// How many values in the time that health is judged by.
    pub(crate) health: u64,
    /// The end of the last collection in which it did something, window or not.
    pub(crate) last_active: Timestamp,
    /// Milliseconds of one unit, if it is a duration.
    pub(crate) unit_ms: f64,
}

impl<'a> Reading<'a> {
    /// Reads `metrics` over `window`, of those series that are `wanted`.
    pub(crate) fn new(
        snapshot: &'a Snapshot,
        window: Window,
        metrics: &[&str],
        wanted: impl Fn(&SeriesKey) -> bool,
    ) -> Result<Self, ViewError> {
        let history = &snapshot.history;
        let slots = slots_of(history, window)?;
        let (start, end) = match slots {
            None => (snapshot.started, snapshot.collected_at),
            Some(slots) => {
                let now = snapshot.collected_at;
                History::covered(slots).unwrap_or((now, now))
            }
        };

        let sources = sources(snapshot, metrics);
        let mut reading = Self {
            snapshot,
            series: Vec::new(),
            last_minute_seconds: 0.0,
            start,
            end,
            sources,
        };
        let positions = reading.select(&history.totals, slots.is_none(), wanted);
        if let Some(slots) = slots {
            reading.add_slots(slots, &positions);
        }
        reading.add_recent(history, &positions);
        Ok(reading)
    }

    /// The series of `metrics`.
    pub(crate) fn of(&self, metrics: &[&str]) -> impl Iterator<Item = &SeriesReading<'a>> {
        let wanted = |series: &&SeriesReading<'_>| metrics.contains(&&*series.key.metric);
        self.series.iter().filter(wanted)
    }

    /// The fields that each answer begins with.
    pub(crate) fn coverage(&self, error: ErrorBound) -> Coverage {
        coverage(self.snapshot, (self.start, self.end), &self.sources, error)
    }

    /// The moment after which the time covered begins.
    pub(crate) const fn start(&self) -> Timestamp {
        self.start
    }

    /// The time covered, in seconds.
    pub(crate) fn seconds(&self) -> f64 {
        self.end.since(self.start).as_secs_f64()
    }

    /// Takes the series of the sources; returns their positions by id.
    fn select(
        &mut self,
        totals: &'a Totals,
        whole: bool,
        wanted: impl Fn(&SeriesKey) -> bool,
    ) -> Vec<Option<usize>> {
        let mut positions = vec![None; totals.series.len()];
        for (total, position) in totals.series.iter().zip(&mut positions) {
            let key = total.key();
            if self.sources.get(&*key.metric) != Some(&&*key.scope) || !wanted(key) {
                continue;
            }
            *position = Some(self.series.len());
            self.series.push(SeriesReading {
                key,
                aggregate: whole.then(|| total.packed().unpack()),
                last_minute: 0,
                health: 0,
                last_active: total.last_active(),
                unit_ms: unit_ms(totals, key),
            });
        }
        positions
    }

    fn add_slots(&mut self, slots: &[Arc<Slot>], positions: &[Option<usize>]) {
        for (id, packed) in slots.iter().flat_map(|slot| slot.entries()) {
            let Some(series) = self.at(positions, id) else {
                continue;
            };
            match &mut series.aggregate {
                Some(aggregate) => packed.merge_into(aggregate),
                empty => *empty = Some(packed.unpack()),
            }
        }
    }

    fn add_recent(&mut self, history: &History, positions: &[Option<usize>]) {
        let minute = history.last(RATE_WINDOW);
        if let Some((since, until)) = History::covered(minute) {
            self.last_minute_seconds = until.since(since).as_secs_f64();
        }
        let health = history.last(HEALTH_WINDOW);
        let before_minute = health.len().saturating_sub(minute.len());
        for (position, slot) in health.iter().enumerate() {
            for (id, packed) in slot.entries() {
                let Some(series) = self.at(positions, id) else {
                    continue;
                };
                let count = packed.count();
                series.health = series.health.saturating_add(count);
                if position >= before_minute {
                    series.last_minute = series.last_minute.saturating_add(count);
                }
            }
        }
    }

    fn at(&mut self, positions: &[Option<usize>], id: u32) -> Option<&mut SeriesReading<'a>> {
        let position = positions.get(id as usize).copied().flatten()?;
        self.series.get_mut(position)
    }
}

impl SeriesReading<'_> {
    /// A label, `_OTHER` where there is none, as on what somebody else recorded or on an overflow.
    pub(crate) fn label(&self, key: &str) -> &str {
        label(self.key, key)
    }

    /// The error, if it was one.
    pub(crate) fn error_type(&self) -> Option<&'static str> {
        error_type(self.key)
    }

    /// How many values in the window.
    pub(crate) fn count(&self) -> u64 {
        self.aggregate.as_ref().map_or(0, Aggregate::count)
    }

    /// Their sum.
    pub(crate) fn sum(&self) -> f64 {
        self.aggregate.as_ref().map_or(0.0, Aggregate::sum)
    }
}

/// The fields that each answer begins with, of one that covers the time from `start` to `end`.
pub(crate) fn coverage(
    snapshot: &Snapshot,
    (start, end): (Timestamp, Timestamp),
    sources: &BTreeMap<&str, &str>,
    error: ErrorBound,
) -> Coverage {
    let collected_at = snapshot.collected_at.as_unix_seconds();
    let owned = |(metric, scope): (&&str, &&str)| (metric.to_string(), scope.to_string());
    Coverage {
        timestamp: collected_at as u64,
        collected_at,
        window_start: start.as_unix_seconds(),
        window_end: end.as_unix_seconds(),
        window_seconds: end.since(start).as_secs_f64(),
        quantile_error_percent: error.percent(),
        source: sources.iter().map(owned).collect(),
    }
}

/// A label, `_OTHER` where there is none.
pub(crate) fn label<'k>(key: &'k SeriesKey, name: &str) -> &'k str {
    key.labels.get(name).unwrap_or(names::OTHER)
}

/// The error that all samples of a series ended with, if they did.
pub(crate) fn error_type(key: &SeriesKey) -> Option<&'static str> {
    let text = key.labels.get(names::ERROR_TYPE)?;
    (!text.is_empty()).then(|| crate::core::error_type::canonical(text))
}

/// Whether all samples of a series failed: by an error, or by a status of 400 or more.
pub(crate) fn failed(key: &SeriesKey) -> bool {
    let status = key.labels.get(names::HTTP_RESPONSE_STATUS_CODE);
    let status: Option<u16> = status.and_then(|status| status.parse().ok());
    error_type(key).is_some() || status.is_some_and(|status| status >= 400)
}

/// The slots that `window` is about; `None` for all since the start.
pub(crate) fn slots_of(
    history: &History,
    window: Window,
) -> Result<Option<&[Arc<Slot>]>, ViewError> {
    match window {
        Window::SinceStart => Ok(None),
        Window::Last(Duration::ZERO) => Err(ViewError::WindowEmpty),
        Window::Last(asked) if asked > history.retention => {
            let retention = history.retention;
            Err(ViewError::WindowTooLong { asked, retention })
        }
        Window::Last(asked) => Ok(Some(history.last(asked))),
    }
}

/// Which scope to use for each of `metrics`. Decided on all since the start, so that it does not
/// change from one window to the next.
pub(crate) fn sources<'a>(snapshot: &'a Snapshot, metrics: &[&str]) -> BTreeMap<&'a str, &'a str> {
    let preferred = &snapshot.configured.preferred_scopes;
    let rank = |scope: &'a str| {
        let position = preferred.iter().position(|preferred| &**preferred == scope);
        (position.unwrap_or(usize::MAX), scope)
    };
    let mut sources: BTreeMap<&str, &str> = BTreeMap::new();
    for total in snapshot.history.totals.series.iter() {
        let key = total.key();
        if !metrics.contains(&&*key.metric) {
            continue;
        }
        let source = sources.entry(&key.metric).or_insert(&key.scope);
        if rank(&key.scope) < rank(source) {
            *source = &key.scope;
        }
    }
    sources
}

/// Milliseconds of one unit of the series, if it is a duration; the conventions say seconds.
pub(crate) fn unit_ms(totals: &Totals, key: &SeriesKey) -> f64 {
    let name = (Arc::clone(&key.scope), Arc::clone(&key.metric));
    match totals.metrics.get(&name).map_or("s", |info| &*info.unit) {
        "ms" => 1.0,
        "us" => 1e-3,
        "ns" => 1e-6,
        "min" => 60_000.0,
        _ => 1_000.0,
    }
}
