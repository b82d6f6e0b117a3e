//! What the monitor itself takes: memory, processor time, traffic.

use crate::clock::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What processor time in percent is taken over.
const PERCENT_WINDOW: Duration = Duration::from_secs(60);
/// Two points in time that it is taken between are so far apart at the least.
const PERCENT_STEP: Duration = Duration::from_secs(1);

/// What the monitor itself takes, as of the last collection.
///
/// What recording takes on the host's own threads is in none of these figures: to measure it
/// there would cost more than the recording.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct MonitorCost {
    /// Memory on the heap, in bytes: the sum of `memory_by_part`. What the OpenTelemetry SDK has is
    /// an estimate; the rest is counted, without the overhead of the allocator. The runtime, the
    /// router and what is made once are not in it: some 600 KiB.
    pub memory_bytes: u64,
    /// The same by what it is for.
    pub memory_by_part: BTreeMap<&'static str, u64>,
    /// Processor time of the monitor's own threads since the start, in seconds; `null` where the
    /// system does not tell that of a thread.
    pub cpu_seconds: Option<f64>,
    /// The same by what it was for: `collect`, `serve`, `answer`.
    pub cpu_seconds_by_part: BTreeMap<&'static str, f64>,
    /// Processor time over the last minute, in percent of one core; `null` in the first second.
    pub cpu_percent: Option<f64>,
    /// How long the last collection took, in milliseconds of processor time.
    pub last_collection_ms: Option<f64>,
    /// Bytes that came to the monitor's own listener.
    pub received_bytes: u64,
    /// Bytes that its own listener sent. A router merged into the host's app, and exporters, are
    /// not in it. Nothing is ever written to a disk.
    pub sent_bytes: u64,
}

/// What processor time was spent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Counting and collecting: the tick's thread.
    Collect,
    /// Connections: the I/O thread.
    Serve,
    /// Computing answers, on whichever thread.
    Answer,
}

impl Work {
    const ALL: [Self; 3] = [Self::Collect, Self::Serve, Self::Answer];

    const fn text(self) -> &'static str {
        match self {
            Self::Collect => "collect",
            Self::Serve => "serve",
            Self::Answer => "answer",
        }
    }
}

/// Where the monitor's own parts write down what they take.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// In nanoseconds.
    cpu: [AtomicU64; Work::ALL.len()],
    /// Some thread could read its processor time.
    has_cpu: AtomicBool,
    received: AtomicU64,
    sent: AtomicU64,
    latest: Mutex<Arc<MonitorCost>>,
}

impl Account {
    /// The thread that does nothing but `work` has run for `time`; nothing, where that cannot be
    /// told.
    pub(crate) fn set_cpu(&self, work: Work, time: Option<Duration>) {
        if let (Some(time), Some(cpu)) = (time, self.cpu.get(work as usize)) {
            cpu.store(nanos(time), Ordering::Relaxed);
            self.has_cpu.store(true, Ordering::Relaxed);
        }
    }

    /// So much more was spent on `work`.
    #[cfg_attr(not(feature = "server"), allow(dead_code, reason = "nobody is served"))]
    pub(crate) fn add_cpu(&self, work: Work, time: Duration) {
        if let Some(cpu) = self.cpu.get(work as usize) {
            cpu.fetch_add(nanos(time), Ordering::Relaxed);
        }
    }

    /// So many bytes came in.
    #[cfg_attr(not(feature = "server"), allow(dead_code, reason = "nobody is served"))]
    pub(crate) fn add_received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// So many bytes went out.
    #[cfg_attr(not(feature = "server"), allow(dead_code, reason = "nobody is served"))]
    pub(crate) fn add_sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// What was taken as of the last collection.
    pub(crate) fn latest(&self) -> Arc<MonitorCost> {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&latest)
    }

    fn cpu_by_work(&self) -> Option<[(&'static str, Duration); Work::ALL.len()]> {
        let of = |work: Work| {
            let cpu = self.cpu.get(work as usize);
            let nanos = cpu.map_or(0, |cpu| cpu.load(Ordering::Relaxed));
            (work.text(), Duration::from_nanos(nanos))
        };
        let known = self.has_cpu.load(Ordering::Relaxed);
        known.then(|| Work::ALL.map(of))
    }
}

/// Makes the figures of an account, once for each collection.
#[derive(Debug, Default)]
pub(crate) struct Accountant {
    /// Processor time at points in time, oldest first.
    course: VecDeque<(Timestamp, Duration)>,
}

impl Accountant {
    /// What is taken at `now`, with memory in these parts, after a collection that took `time`.
    pub(crate) fn state(
        &mut self,
        account: &Account,
        memory: impl IntoIterator<Item = (&'static str, usize)>,
        time: Option<Duration>,
        now: Timestamp,
    ) -> Arc<MonitorCost> {
        let memory = memory.into_iter().filter(|(_, bytes)| *bytes > 0);
        let mut memory_by_part: BTreeMap<&'static str, u64> = BTreeMap::new();
        for (part, bytes) in memory {
            *memory_by_part.entry(part).or_default() += bytes as u64;
        }
        let by_work = account.cpu_by_work();
        let all = by_work.map(|by_work| by_work.iter().map(|(_, time)| *time).sum());
        let cost = Arc::new(MonitorCost {
            memory_bytes: memory_by_part.values().sum(),
            memory_by_part,
            cpu_seconds: all.map(|all: Duration| all.as_secs_f64()),
            cpu_seconds_by_part: by_work
                .into_iter()
                .flatten()
                .map(|(text, time)| (text, time.as_secs_f64()))
                .collect(),
            cpu_percent: all.and_then(|all| self.percent(all, now)),
            last_collection_ms: time.map(|time| time.as_secs_f64() * 1e3),
            received_bytes: account.received.load(Ordering::Relaxed),
            sent_bytes: account.sent.load(Ordering::Relaxed),
        });
        let mut latest = account
            .latest
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *latest = Arc::clone(&cost);
        cost
    }

    /// Of one core, from a minute ago or the start on.
    fn percent(&mut self, all: Duration, now: Timestamp) -> Option<f64> {
        let old = now.before(PERCENT_WINDOW);
        // The newest of those that are old enough is where the minute begins.
        while self.course.get(1).is_some_and(|(at, _)| *at <= old) {
            self.course.pop_front();
        }
        let first = self.course.front().copied();
        let newest = self.course.back();
        if newest.is_none_or(|(at, _)| now.since(*at) >= PERCENT_STEP) {
            self.course.push_back((now, all));
        }
        let (since, before) = first?;
        let wall = now.since(since);
        (wall >= PERCENT_STEP)
            .then(|| all.saturating_sub(before).as_secs_f64() / wall.as_secs_f64() * 100.0)
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u32) -> Timestamp {
        Timestamp::EPOCH.after(SECOND * seconds)
    }

    #[test]
    fn percent_is_over_the_last_minute() {
        let account = Account::default();
        let mut accountant = Accountant::default();
        let mut percent = |used: Duration, seconds| {
            account.set_cpu(Work::Collect, Some(used));
            let cost = accountant.state(&account, [], None, at(seconds));
            cost.cpu_percent
        };
        assert_eq!(
            percent(SECOND, 100),
            None,
            "there is nothing to compare with"
        );
        assert_eq!(percent(SECOND * 2, 102), Some(50.0));
        for seconds in 103..=200 {
            percent(SECOND * 2, seconds);
        }
        assert_eq!(percent(SECOND * 2, 201), Some(0.0));
        assert_eq!(percent(SECOND * 8, 202), Some(10.0));
    }

    #[test]
    fn parts_add_up() {
        let account = Account::default();
        let memory = [("windows", 100), ("queue", 20), ("windows", 3), ("none", 0)];
        let cost = Accountant::default().state(&account, memory, None, at(1));
        assert_eq!(cost.memory_bytes, 123);
        assert_eq!(
            cost.memory_by_part,
            [("queue", 20), ("windows", 103)].into()
        );
        assert_eq!(cost.cpu_seconds, None, "no thread could tell");
        account.set_cpu(Work::Collect, Some(SECOND));
        account.add_cpu(Work::Answer, SECOND);
        account.add_cpu(Work::Answer, SECOND);
        let cost = Accountant::default().state(&account, [], None, at(1));
        assert_eq!(cost.cpu_seconds, Some(3.0));
        assert_eq!(cost.cpu_seconds_by_part["answer"], 2.0);
        assert_eq!(account.latest(), cost);
    }
}
