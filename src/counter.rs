//! What becomes of a measurement that leaves the queue.

use crate::{
    clock::Timestamp,
    core::{
        events::{NewestEvents, PerformanceEvent, RecentEvents},
        measurement::{Kind, Measurement},
        recorder::{LabelTables, Tally},
        settings::SettingsCell,
        slowest::{Slowest, SlowestKeeper},
    },
    edge::otel::instruments::Instruments,
};
use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::Thread,
};

/// Measurements that are counted without letting go of the instruments.
const BATCH: usize = 64;

/// A host's closure that is shown every event.
pub(crate) type Observer = Box<dyn Fn(&PerformanceEvent) + Send + Sync>;

thread_local! {
    /// The observer runs on this thread.
    static SHOWING: Cell<bool> = const { Cell::new(false) };
}

/// Counts what leaves the queue: into the instruments, the recent events and the observer.
pub(crate) struct Counter {
    state: Mutex<CounterState>,
    labels: Arc<LabelTables>,
    counted: AtomicU64,
    observer: Option<Observer>,
    thread: OnceLock<Thread>,
}

struct CounterState {
    instruments: Instruments,
    recent: RecentEvents,
    slowest: SlowestKeeper,
}

impl Counter {
    pub(crate) fn new(
        instruments: Instruments,
        recent: RecentEvents,
        slowest: SlowestKeeper,
        labels: Arc<LabelTables>,
        observer: Option<Observer>,
    ) -> Self {
        Self {
            state: Mutex::new(CounterState {
                instruments,
                recent,
                slowest,
            }),
            labels,
            counted: AtomicU64::new(0),
            observer,
            thread: OnceLock::new(),
        }
    }

    /// The newest `count` events, newest last.
    pub(crate) fn newest(&self, count: usize) -> NewestEvents {
        let newest = lock(&self.state).recent.newest(count);
        NewestEvents::new(newest, Arc::clone(&self.labels))
    }

    /// The slowest and the last failed requests; what ended up to `oldest` is let go.
    pub(crate) fn slowest(&self, oldest: Timestamp) -> Arc<Slowest> {
        lock(&self.state).slowest.fold(oldest)
    }

    /// Bytes on the heap: of the series that are recorded into, of the recent events, and of the
    /// slowest requests.
    pub(crate) fn heap_bytes(&self) -> (usize, usize, usize) {
        let state = lock(&self.state);
        (
            state.instruments.heap_bytes(),
            state.recent.heap_bytes(),
            state.slowest.heap_bytes(),
        )
    }

    /// Records what waits, for somebody who collects.
    pub(crate) fn flush(&self) {
        lock(&self.state).instruments.flush();
    }

    /// From now on, `ask` wakes this thread.
    pub(crate) fn set_tick(&self, thread: Thread) {
        self.thread.set(thread).ok();
    }

    /// Keeps the recent events that the settings say, from the next that is counted on.
    pub(crate) fn apply_filter(&self, settings: &SettingsCell) {
        let mut state = lock(&self.state);
        // Read under the lock: of two that change it at once, the later one's stays.
        state.recent.set_filter(settings.get().event_filter);
    }

    /// Shows `events` to the observer, with nothing locked: it may ask the monitor in turn.
    fn show(&self, events: &mut Vec<PerformanceEvent>) {
        let Some(observer) = &self.observer else {
            return;
        };
        // What the observer itself records while the queue is full is counted at once, and not
        // shown: that might have no end.
        if SHOWING.replace(true) {
            events.clear();
            return;
        }
        for event in events.drain(..) {
            // A host's closure that panics must not take the monitor with it.
            catch_unwind(AssertUnwindSafe(|| observer(&event))).ok();
        }
        SHOWING.set(false);
    }

    /// Whether this is the tick's own thread, which cannot wait for itself.
    pub(crate) fn is_tick(&self) -> bool {
        let this = std::thread::current().id();
        self.thread.get().is_some_and(|tick| tick.id() == this)
    }
}

impl Tally for Counter {
    fn count(&self, batch: &mut Vec<Measurement>) {
        let mut measurements = batch.drain(..);
        let mut events = Vec::new();
        loop {
            let mut locked = lock(&self.state);
            let state = &mut *locked;
            let mut counted = 0;
            for mut measurement in measurements.by_ref().take(BATCH) {
                state.instruments.settle(&mut measurement);
                state.instruments.record(&measurement);
                counted += 1;
                // What a timer observed is no event.
                if measurement.kind == Kind::Timer {
                    continue;
                }
                let number = state.recent.number() + 1;
                state.slowest.note(number, &measurement);
                if self.observer.is_some() {
                    events.push(PerformanceEvent::from_measurement(
                        number,
                        &measurement,
                        &self.labels,
                    ));
                }
                state.recent.push(measurement);
            }
            drop(locked);
            self.counted.fetch_add(counted, Ordering::Relaxed);
            self.show(&mut events);
            if counted < BATCH as u64 {
                return;
            }
        }
    }

    fn counted(&self) -> u64 {
        self.counted.load(Ordering::Relaxed)
    }

    fn ask(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}

/// Locks, whatever became of the thread that had it last.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
