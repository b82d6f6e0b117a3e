//! The tick: every collection interval, and when somebody asks, one thread drains the queue,
//! reads what the instruments recorded, and publishes a snapshot.

use crate::{
    clock::{Timestamp, thread_cpu},
    config::Config,
    core::{
        alerts::{
            change::{AlertChange, AlertSink},
            engine::Engine,
            view::{AlertDetail, Alerts},
        },
        configuration::Configuration,
        cost::{Account, Accountant, MonitorCost, Work},
        deliveries::Deliveries,
        export::extent::Told,
        labels::LabelTable,
        process::{ProcessCell, ProcessSample},
        queue::Closed,
        recorder::{DropReason, Recorder, Tally},
        series::{Collection, SeriesKey, Value},
        settings::{Settings, SettingsCell},
        snapshot::{Configured, Snapshot},
        standing::{Board, HealthPolicy, ProviderStanding, Standings},
        window::{WindowConfig, Windows},
    },
    counter::{Counter, lock},
    edge::{
        alert_changes::AlertBroadcast, layer::Subscribers, otel::reader::ViewReader, own_log,
        process::Process,
    },
    error::OutOfRange,
    health::MonitorHealth,
};
use parking_lot::RwLock;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::watch;

/// An answer older than this asks for a collection.
const FRESH: Duration = Duration::from_secs(1);
/// How long an answer waits for it.
const WAIT: Duration = Duration::from_millis(50);
/// Recent events in one snapshot.
const RECENT: usize = 100;

/// A past to be booked before the next collection.
type Rehearsed = Box<dyn Iterator<Item = Past> + Send>;
/// A collection of such a past, and its points.
pub(crate) type Past = (
    Collection,
    Box<dyn Iterator<Item = (SeriesKey, Value)> + Send>,
);

/// What the tick works on, shared with those who read what it publishes.
pub(crate) struct Shared {
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) counter: Arc<Counter>,
    pub(crate) config: Config,
    /// What can be changed while it runs.
    pub(crate) settings: SettingsCell,
    pub(crate) started: Timestamp,
    pub(crate) subscribers: Arc<Subscribers>,
    /// The process at the last collection.
    pub(crate) process: Arc<ProcessCell>,
    /// What the monitor itself takes.
    pub(crate) account: Arc<Account>,
    configured: Arc<Configured>,
    pub(crate) reader: ViewReader,
    sinks: Vec<Arc<dyn AlertSink>>,
    /// What became of what was pushed.
    pub(crate) deliveries: Arc<Deliveries>,
    pub(crate) alert_changes: AlertBroadcast,
    /// Only the tick has it; how all stand follows from it.
    pub(crate) standings: Mutex<Standings>,
    pub(crate) board: Arc<RwLock<Arc<Board>>>,
    pub(crate) health_changes: watch::Sender<Arc<[ProviderStanding]>>,
    /// Until the tick takes it.
    engine: Mutex<Option<Engine>>,
    rehearsed: Mutex<Option<Rehearsed>>,
    published: Mutex<Arc<Snapshot>>,
    /// Up to when the last exports go.
    told: Mutex<Told>,
    window_bytes: AtomicU64,
    /// Bytes of answers that are kept for others who ask the same.
    pub(crate) answer_bytes: AtomicU64,
    /// Collections asked for, and the number that the last collection served.
    asked: AtomicU64,
    /// Somebody wants a collection, unless there was one within the last second.
    wanted: AtomicBool,
    served: Mutex<u64>,
    served_one: Condvar,
    /// Whether it collects by itself, and takes measurements on.
    active: AtomicBool,
    /// Held while that is changed.
    changing: Mutex<()>,
    stop: AtomicBool,
    stopped: AtomicBool,
}

impl Shared {
    pub(crate) fn new(
        recorder: Arc<Recorder>,
        counter: Arc<Counter>,
        reader: ViewReader,
        config: Config,
        settings: Settings,
        sinks: Vec<Arc<dyn AlertSink>>,
        engine: Engine,
    ) -> Self {
        let started = recorder.now();
        let configured = configured(&config);
        let snapshot = Snapshot {
            monitoring_active: !config.disabled,
            ..Snapshot::empty(started, config.retention, Arc::clone(&configured))
        };
        Self {
            recorder,
            counter,
            config,
            settings: SettingsCell::new(settings),
            configured,
            started,
            subscribers: Arc::default(),
            process: Arc::default(),
            account: Arc::default(),
            reader,
            sinks,
            deliveries: Arc::default(),
            alert_changes: AlertBroadcast::new(),
            standings: Mutex::new(Standings::new(HealthPolicy::default())),
            board: Arc::default(),
            health_changes: watch::Sender::default(),
            engine: Mutex::new(Some(engine)),
            rehearsed: Mutex::new(None),
            published: Mutex::new(Arc::new(snapshot)),
            told: Mutex::default(),
            window_bytes: AtomicU64::new(0),
            answer_bytes: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            wanted: AtomicBool::new(false),
            served: Mutex::new(0),
            served_one: Condvar::new(),
            active: AtomicBool::new(true),
            changing: Mutex::default(),
            stop: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
        }
    }

    /// Whether it measures: not while it is stopped, nor after a shutdown, nor with
    /// `OTEL_SDK_DISABLED`.
    pub(crate) fn is_active(&self) -> bool {
        !self.config.disabled
            && self.active.load(Ordering::Acquire)
            && !self.stop.load(Ordering::Acquire)
    }

    /// Whether it was told to end.
    pub(crate) fn is_shut_down(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Changes what can be changed while it runs, all or nothing. The tick looks at it at once.
    pub(crate) fn change<E: From<OutOfRange>>(
        &self,
        change: impl FnOnce(&mut Settings) -> Result<(), E>,
    ) -> Result<(), E> {
        self.settings.change(change)?;
        self.counter.apply_filter(&self.settings);
        self.counter.ask();
        Ok(())
    }

    /// All that is in force.
    pub(crate) fn configuration(&self) -> Configuration {
        Configuration::new(self.is_active(), &self.settings.get(), &self.config)
    }

    /// Takes measurements on again; whether it can.
    pub(crate) fn resume(&self) -> bool {
        let _changing = lock(&self.changing);
        if self.stop.load(Ordering::Acquire) {
            return false;
        }
        self.active.store(true, Ordering::Release);
        self.recorder.reopen();
        true
    }

    /// Drops from now on what is recorded, and no longer collects by itself.
    pub(crate) fn pause(&self) {
        let _changing = lock(&self.changing);
        self.recorder.close(Closed::Stopped);
        self.active.store(false, Ordering::Release);
    }

    /// The last snapshot, whatever its age.
    pub(crate) fn latest(&self) -> Arc<Snapshot> {
        Arc::clone(&lock(&self.published))
    }

    /// As [`fresh`](Self::fresh), for an export: what is collected from now on can be told without
    /// what this one has.
    pub(crate) fn exported(&self) -> Arc<Snapshot> {
        self.fresh();
        let mut told = lock(&self.told);
        let snapshot = self.latest();
        told.add(snapshot.collected_at);
        snapshot
    }

    /// A snapshot not older than a second; or the last one, if the tick does not make it within
    /// 50 ms. Blocks for that time at the most. All who wait share one collection.
    pub(crate) fn fresh(&self) -> Arc<Snapshot> {
        // While it is stopped nothing changes.
        if self.counter.is_tick() || !self.active.load(Ordering::Acquire) {
            return self.latest();
        }
        let since = self.recorder.now().before(FRESH);
        let is_fresh = || self.latest().collected_at >= since;
        if is_fresh() {
            return self.latest();
        }
        self.wanted.store(true, Ordering::Release);
        self.counter.ask();
        let served = lock(&self.served);
        let waited = self.served_one.wait_timeout_while(served, WAIT, |_| {
            !is_fresh() && !self.stopped.load(Ordering::Acquire)
        });
        drop(waited);
        self.latest()
    }

    /// Asks for a collection and waits until one that began after this call is done; whether it
    /// was done in time.
    pub(crate) fn collect(&self, wait: Duration) -> bool {
        if self.counter.is_tick() {
            return false;
        }
        let ticket = self.asked.fetch_add(1, Ordering::AcqRel) + 1;
        self.counter.ask();
        let served = lock(&self.served);
        let (served, _) = self
            .served_one
            .wait_timeout_while(served, wait, |served| {
                *served < ticket && !self.stopped.load(Ordering::Acquire)
            })
            .unwrap_or_else(PoisonError::into_inner);
        *served >= ticket
    }

    /// Has `past` booked before the next collection.
    pub(crate) fn rehearse(&self, past: Rehearsed) {
        *lock(&self.rehearsed) = Some(past);
    }

    /// Tells the tick to collect for the last time and to end.
    pub(crate) fn stop(&self) {
        self.recorder.close(Closed::ShutDown);
        self.stop.store(true, Ordering::Release);
        self.counter.ask();
    }

    /// Waits until the tick has ended; whether it did in time.
    pub(crate) fn wait_until_stopped(&self, wait: Duration) -> bool {
        if self.counter.is_tick() {
            return false;
        }
        let served = lock(&self.served);
        let waited = self
            .served_one
            .wait_timeout_while(served, wait, |_| !self.stopped.load(Ordering::Acquire));
        drop(waited);
        self.stopped.load(Ordering::Acquire)
    }

    /// Runs until [`stop`](Self::stop): the body of the tick's thread.
    pub(crate) fn run(&self) {
        self.counter.set_tick(std::thread::current());
        own_log::thread("aimux-tick", "started");
        let mut windows = Windows::new(WindowConfig {
            retention: self.settings.get().retention,
            max_bytes: self.config.window_memory,
            ..WindowConfig::default()
        });
        let mut process = Process::new();
        let Some(mut engine) = lock(&self.engine).take() else {
            return;
        };
        process.look_closer(self.started);
        let before = self.process.set(process.sample(self.recorder.now()));
        let mut before = Some(before.sample);
        let mut accountant = Accountant::default();
        let mut spare = Vec::new();
        let mut later = Vec::new();
        let mut collected_at = self.started;
        let mut was_active = true;
        let mut said_active = None;
        let mut told = self.settings.get();
        loop {
            let stop = self.stop.load(Ordering::Acquire);
            let active = self.active.load(Ordering::Acquire);
            let settings = self.settings.get();
            let interval = settings.collection_interval;
            windows.set_retention(settings.retention);
            let asked = self.asked.load(Ordering::Acquire);
            let now = self.recorder.now();
            let due = collected_at.after(interval);
            let wanted = self.wanted.swap(false, Ordering::AcqRel);
            let wanted = wanted && now.since(collected_at) >= FRESH;
            let changed = active != was_active;
            was_active = active;
            // The time that it was stopped makes a slot of its own.
            let due = active && (changed || now >= due || wanted);
            let collects = stop || due || asked > *lock(&self.served);
            // What ends while the queue is drained belongs to the next collection.
            let until = if collects && !stop {
                now
            } else {
                Timestamp::MAX
            };
            self.recorder.drain(&mut spare, &mut later, until);
            if collects {
                self.recorder.give_up_what_never_ended(now);
                // This calls the host: its subscriber, and the callbacks of its instruments. If
                // they panic, that must not take the monitor with it.
                let collect = || {
                    self.subscribers.warn_if_blind();
                    self.process.set(process.sample(now));
                    self.collect_into(
                        &mut windows,
                        collected_at,
                        now,
                        &mut before,
                        &mut engine,
                        &mut accountant,
                    );
                };
                catch_unwind(AssertUnwindSafe(collect)).ok();
                self.publish_activity();
                collected_at = now;
                *lock(&self.served) = asked;
                self.served_one.notify_all();
                // For the next one: nobody has to wait for it.
                process.look_closer(now);
                self.log_collection(now);
            }
            // A subscriber that was installed after the start hears of it too.
            if collects && said_active != Some(active) {
                own_log::monitoring(active);
                said_active = Some(active);
            }
            if !Arc::ptr_eq(&told, &settings) {
                own_log::settings(&told, &settings);
                told = settings;
            }
            if stop {
                break;
            }
            if active {
                let asleep = collected_at.after(interval).since(self.recorder.now());
                std::thread::park_timeout(asleep);
            } else {
                std::thread::park();
            }
        }
        self.alert_changes.close();
        self.stopped.store(true, Ordering::Release);
        // Under the lock, so that nobody goes to sleep between looking and waiting.
        drop(lock(&self.served));
        self.served_one.notify_all();
        own_log::thread("aimux-tick", "ended");
    }

    fn collect_into(
        &self,
        windows: &mut Windows,
        since: Timestamp,
        until: Timestamp,
        before: &mut Option<ProcessSample>,
        engine: &mut Engine,
        accountant: &mut Accountant,
    ) {
        let begun = thread_cpu();
        let past = lock(&self.rehearsed).take();
        for (collection, points) in past.into_iter().flatten() {
            windows.append_with(collection, points);
        }
        self.counter.flush();
        // A reader that cannot collect was shut down with its meter provider: the views then
        // stay as they are.
        let Some(mut collection) = self.reader.read(since, until) else {
            return;
        };
        if let Some(before) = before.take() {
            before.take_off(&mut collection);
        }
        // The end of the last snapshot too: whoever takes that for an export has until the next
        // collection to say so.
        let told = lock(&self.told).ends();
        windows.keep_apart(told.chain([self.latest().collected_at]));
        self.judge(&collection);
        windows.append(collection);
        let history = windows.history();
        let recent_events = self.counter.newest(RECENT);
        let slowest = self.counter.slowest(until.before(history.retention));
        let published = history.heap_bytes() + recent_events.heap_bytes();
        let memory = self.memory(windows, published);
        let ended = thread_cpu();
        self.account.set_cpu(Work::Collect, ended);
        let took = ended.zip(begun);
        let took = took.map(|(ended, begun)| ended.saturating_sub(begun));
        accountant.state(&self.account, memory, took, self.recorder.now());
        let process = self.process.get();
        let mut snapshot = Snapshot {
            started: self.started,
            collected_at: until,
            monitoring_active: self.is_active(),
            history,
            configured: Arc::clone(&self.configured),
            recent_events,
            slowest,
            memory: process.sample.memory(),
            process,
            alerts: Arc::default(),
            quotas: self.recorder.quotas.readings(&self.recorder.labels).into(),
            prices: self.recorder.prices.info().map(Arc::new),
            board: Arc::clone(&self.board.read()),
        };
        // A custom rule calls the host, so nothing is locked.
        let evaluation = engine.evaluate(&snapshot, &self.settings.get());
        snapshot.alerts = Arc::clone(&evaluation.alerts);
        *lock(&self.published) = Arc::new(snapshot);
        self.alert_changes.send(&evaluation.changes);
        self.notify(&evaluation.changes, &evaluation.alerts, until);
    }

    /// Judges by what was collected how the providers stand, and tells those who ask.
    fn judge(&self, collection: &Collection) {
        let (board, changed) = lock(&self.standings).judge(collection);
        let board = Arc::new(board);
        let before = std::mem::replace(&mut *self.board.write(), Arc::clone(&board));
        if changed {
            own_log::standings(before.all(), board.all());
            self.health_changes.send_replace(Arc::clone(board.all()));
        }
    }

    fn kept_answers(&self) -> usize {
        usize::try_from(self.answer_bytes.load(Ordering::Relaxed)).unwrap_or(usize::MAX)
    }

    /// Memory that is taken, by what it is for; `published` is that of the snapshot.
    fn memory(&self, windows: &Windows, published: usize) -> [(&'static str, usize); 13] {
        let (slots, totals) = windows.heap_bytes();
        let both = u64::try_from(slots + totals).unwrap_or(u64::MAX);
        self.window_bytes.store(both, Ordering::Relaxed);
        let (series, events, slowest) = self.counter.heap_bytes();
        let (strings, sdk) = self.reader.heap_bytes();
        [
            ("windows", slots),
            ("totals", totals),
            ("series", series),
            ("events", events),
            ("slowest", slowest),
            ("snapshot", published),
            (
                "labels",
                self.recorder.labels.heap_bytes() + self.recorder.quotas.heap_bytes(),
            ),
            (
                "standings",
                lock(&self.standings).heap_bytes() + self.board.read().heap_bytes(),
            ),
            ("queue", self.recorder.queue_bytes()),
            ("open", self.recorder.open_bytes.get()),
            ("strings", strings),
            ("answers", self.kept_answers()),
            ("sdk", sdk),
        ]
    }

    /// Says in the log what the collection that began at `began` came to.
    fn log_collection(&self, began: Timestamp) {
        let took = self.recorder.now().since(began);
        let latest = self.latest();
        let bytes = self.window_bytes.load(Ordering::Relaxed);
        own_log::collected(latest.history.totals.series.len(), bytes, took);
        own_log::memory(&latest.memory);
    }

    /// Tells the log and the sinks, with nothing locked: they may ask the monitor in turn.
    fn notify(&self, changes: &[AlertChange], alerts: &Alerts, now: Timestamp) {
        changes.iter().for_each(own_log::alert);
        if self.sinks.is_empty() {
            return;
        }
        let firing: Vec<AlertDetail> = alerts.firing().cloned().collect();
        for sink in &self.sinks {
            // A sink of the host that panics must not take the monitor with it.
            catch_unwind(AssertUnwindSafe(|| sink.changed(changes, &firing, now))).ok();
        }
    }

    /// Says whether it is active also where nothing could be collected.
    fn publish_activity(&self) {
        let monitoring_active = self.is_active();
        let mut published = lock(&self.published);
        if published.monitoring_active != monitoring_active {
            *published = Arc::new(Snapshot {
                monitoring_active,
                ..Snapshot::clone(&published)
            });
        }
    }

    /// What the monitor says of itself.
    pub(crate) fn health(&self) -> MonitorHealth {
        let recorder = &self.recorder;
        let dropped = DropReason::ALL.map(|r| (r.text(), recorder.dropped(r)));
        let refused = |(kind, table): (&'static str, &LabelTable)| (kind, table.refused());
        MonitorHealth {
            offered: recorder.offered(),
            counted: recorder.counted(),
            dropped: dropped.into(),
            labels_refused: recorder.labels.named().map(refused).into(),
            series: self.latest().history.totals.series.len(),
            series_folded: self.latest().history.totals.folded,
            answer_bytes: self.answer_bytes.load(Ordering::Relaxed),
            window_bytes: self.window_bytes.load(Ordering::Relaxed),
            cost: MonitorCost::clone(&self.account.latest()),
            pushes: self.deliveries.health(),
        }
    }
}

fn configured(config: &Config) -> Arc<Configured> {
    let shared = |texts: &[String]| texts.iter().map(|text| Arc::from(text.as_str())).collect();
    let providers = config.providers.iter();
    Arc::new(Configured {
        providers: providers
            .map(|(name, models)| (Arc::from(name.as_str()), shared(models)))
            .collect(),
        endpoints: shared(&config.endpoints),
        preferred_scopes: shared(&config.preferred_scopes),
    })
}
