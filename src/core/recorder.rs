//! The hot half of the monitor: takes measurements from any thread, and never waits.

use super::{
    chain::ChainSoFar,
    labels::{Label, LabelTable},
    measurement::{Chain, Count, Kind, Measurement},
    open::{OpenBytes, OpenTable},
    open_operation::{OfRequest, OpenOperation},
    prices::PriceCell,
    queue::{Closed, Pushed, Queue},
    quotas::QuotaLedger,
    trace_link::TraceLink,
};
use crate::{
    clock::{Clock, Timestamp},
    config::{Config, Limits},
    core::error_type,
    event_type::PerformanceEventType,
    names,
};
use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

/// Requests that were begun by hand and not ended are given up after this.
pub(crate) const NEVER_ENDED: Duration = Duration::from_secs(3_600);

/// Why a measurement was offered and not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DropReason {
    /// A duration that is negative, not finite, or too long.
    InvalidValue,
    /// Too many were open at once.
    TooManyOpen,
    /// It began and never ended.
    NeverEnded,
    /// The monitor was stopped at that time.
    Stopped,
    /// The monitor had been shut down.
    Shutdown,
}

impl DropReason {
    pub(crate) const ALL: [Self; 5] = [
        Self::InvalidValue,
        Self::TooManyOpen,
        Self::NeverEnded,
        Self::Stopped,
        Self::Shutdown,
    ];

    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::InvalidValue => "invalid_value",
            Self::TooManyOpen => "too_many_open",
            Self::NeverEnded => "never_ended",
            Self::Stopped => "stopped",
            Self::Shutdown => "shutdown",
        }
    }
}

/// Where measurements are counted, once they leave the queue.
pub(crate) trait Tally: Send + Sync {
    /// Counts each of `batch`.
    fn count(&self, batch: &mut Vec<Measurement>);
    /// How many it has counted.
    fn counted(&self) -> u64;
    /// Asks for the queue to be drained soon.
    fn ask(&self);
}

/// One table for each kind of label.
#[derive(Debug)]
pub(crate) struct LabelTables {
    pub(crate) providers: LabelTable,
    pub(crate) models: LabelTable,
    pub(crate) operations: LabelTable,
    pub(crate) endpoints: LabelTable,
    pub(crate) components: LabelTable,
    pub(crate) component_operations: LabelTable,
    pub(crate) experiments: LabelTable,
    pub(crate) variants: LabelTable,
    pub(crate) reasons: LabelTable,
    pub(crate) timers: LabelTable,
}

impl LabelTables {
    fn new(config: &Config) -> Self {
        let providers = config.providers.iter();
        let models = providers.clone().flat_map(|(_, models)| models);
        let Limits {
            providers: provider_limit,
            models: model_limit,
            endpoints,
            components,
            timers,
            experiments,
        } = config.limits;
        Self {
            providers: LabelTable::new(providers.map(|(name, _)| &**name), provider_limit),
            models: LabelTable::new(models.map(|model| &**model), model_limit),
            operations: LabelTable::new(names::GEN_AI_OPERATIONS, 16),
            endpoints: LabelTable::new(config.endpoints.iter().map(|e| &**e), endpoints),
            components: LabelTable::new([], components),
            component_operations: LabelTable::new([], components.saturating_mul(4)),
            experiments: LabelTable::new([], experiments),
            variants: LabelTable::new([], experiments.saturating_mul(8)),
            reasons: LabelTable::new([], 32),
            timers: LabelTable::new([], timers),
        }
    }

    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        Self::new(&Config::default())
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        let tables = self.named().map(|(_, table)| table.heap_bytes());
        tables.iter().sum()
    }

    /// Each table with its name, as it is reported.
    pub(crate) fn named(&self) -> [(&'static str, &LabelTable); 10] {
        [
            ("provider", &self.providers),
            ("model", &self.models),
            ("operation", &self.operations),
            ("endpoint", &self.endpoints),
            ("component", &self.components),
            ("component_operation", &self.component_operations),
            ("experiment", &self.experiments),
            ("variant", &self.variants),
            ("failover_reason", &self.reasons),
            ("timer", &self.timers),
        ]
    }
}

/// See the module's description.
pub(crate) struct Recorder {
    clock: Clock,
    pub(crate) labels: Arc<LabelTables>,
    pub(crate) operations: OpenTable<OpenOperation>,
    /// What this table and those of the layers take.
    pub(crate) open_bytes: OpenBytes,
    pub(crate) active_requests: AtomicI64,
    queue: Queue,
    tally: OnceLock<Arc<dyn Tally>>,
    /// Offered, and dropped before they came to the queue.
    refused: AtomicU64,
    dropped: [AtomicU64; DropReason::ALL.len()],
    /// Numbers that were no amount, and fields that could not be read.
    pub(crate) unreadable_fields: AtomicU64,
    /// What providers said is left of their quotas.
    pub(crate) quotas: Arc<QuotaLedger>,
    /// What tokens cost.
    pub(crate) prices: Arc<PriceCell>,
    /// Traces are exported.
    pub(crate) traces: bool,
    /// The span of a sampled trace that is current on this thread.
    pub(crate) current_trace: fn() -> Option<TraceLink>,
    pub(crate) metadata_keys: Vec<String>,
    /// Nothing is recorded, and nothing counted.
    pub(crate) disabled: bool,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}

impl Recorder {
    pub(crate) fn new(clock: Clock, cores: usize, config: &Config) -> Self {
        let open_bytes = OpenBytes::default();
        Self {
            clock,
            labels: Arc::new(LabelTables::new(config)),
            operations: OpenTable::new(config.max_open, &open_bytes),
            open_bytes,
            active_requests: AtomicI64::new(0),
            queue: Queue::new(cores),
            tally: OnceLock::new(),
            refused: AtomicU64::new(0),
            dropped: Default::default(),
            unreadable_fields: AtomicU64::new(0),
            quotas: Arc::default(),
            prices: Arc::default(),
            traces: false,
            current_trace: || None,
            metadata_keys: config.metadata_keys.clone(),
            disabled: config.disabled,
        }
    }

    /// Sets where measurements are counted; the first one stays.
    pub(crate) fn set_tally(&self, tally: Arc<dyn Tally>) {
        self.tally.set(tally).ok();
    }

    #[inline]
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Takes one measurement on.
    // A call would move it once more, some sixty instructions.
    #[inline(always)]
    pub(crate) fn offer(&self, measurement: Measurement) {
        if self.disabled {
            return;
        }
        match self.queue.push(measurement) {
            Pushed::Queued => {}
            Pushed::AskTick => self.ask(),
            Pushed::Full(measurement) => self.count_here(measurement),
            Pushed::Closed(why) => self.drop_as_closed(why),
        }
    }

    /// So many tokens or bytes; absent, and counted as unreadable, if it cannot be that many.
    pub(crate) fn count_of(&self, number: u64) -> Count {
        if number > Count::LARGEST {
            self.unreadable();
            return Count::NONE;
        }
        Count::new(number)
    }

    /// The status, if it is one; else it is counted as unreadable.
    pub(crate) fn status_of(&self, code: u16) -> Option<u16> {
        let status = (100..=599).contains(&code).then_some(code);
        if status.is_none() {
            self.unreadable();
        }
        status
    }

    /// Counts a number that is no amount, or a field that could not be read.
    #[cold]
    pub(crate) fn unreadable(&self) {
        self.unreadable_fields.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts what was offered and cannot be taken on.
    pub(crate) fn refuse(&self, reason: DropReason) {
        if self.disabled {
            return;
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        self.add_dropped(reason);
    }

    /// Hands what waits, and what was held back `later`, to the tally; what ended after `until`
    /// is held back. `spare` is an empty buffer to work with.
    pub(crate) fn drain(
        &self,
        spare: &mut Vec<Measurement>,
        later: &mut Vec<Measurement>,
        until: Timestamp,
    ) {
        let Some(tally) = self.tally.get() else {
            return;
        };
        tally.count(later);
        self.queue.drain(spare, |batch| {
            later.extend(batch.extract_if(.., |measurement| measurement.ended > until));
            tally.count(batch);
        });
    }

    /// From now on everything is dropped, and counted as such.
    pub(crate) fn close(&self, why: Closed) {
        self.queue.close(why);
    }

    /// Takes measurements on again, unless it was shut down.
    pub(crate) fn reopen(&self) {
        self.queue.reopen();
    }

    /// Gives up what was begun by hand more than [`NEVER_ENDED`] before `now` and is still open.
    pub(crate) fn give_up_what_never_ended(&self, now: Timestamp) {
        let expired = now.before(NEVER_ENDED);
        let given_up = self
            .operations
            .remove_if(|open| !open.guarded && open.started < expired);
        for _ in given_up {
            self.refuse(DropReason::NeverEnded);
        }
    }

    /// Begins an operation; `None` if too many are open. Unless it is `guarded`, it is given up
    /// some time.
    pub(crate) fn begin(&self, measurement: Measurement, guarded: bool) -> Option<u64> {
        let key = self.operations.next_key();
        let open = OpenOperation {
            started: self.now(),
            measurement,
            chain: ChainSoFar::EMPTY,
            guarded,
        };
        if self.operations.insert(key, open) {
            Some(key)
        } else {
            self.refuse(DropReason::TooManyOpen);
            None
        }
    }

    /// Ends the operation: `finish` completes it, then it is offered.
    pub(crate) fn end(&self, key: u64, finish: impl FnOnce(&mut Measurement)) -> bool {
        let Some(open) = self.operations.remove(key) else {
            return false;
        };
        let mut measurement = open.measurement;
        measurement.ended = self.now();
        measurement.duration = nanos(measurement.ended, open.started);
        finish(&mut measurement);
        settle_status(&mut measurement);
        measurement.chain = open.chain.of(&measurement);
        if measurement.provider.is_none() && measurement.model.is_none() || open.chain.has_attempt()
        {
            self.offer(measurement);
            return true;
        }
        let attempt = attempt_of(&measurement);
        measurement.chain = Chain::single(&attempt);
        self.offer(attempt);
        self.offer(measurement);
        true
    }

    /// Tells the open operation `key` of an attempt below it, which is complete; what that operation
    /// knows of the request.
    pub(crate) fn note_attempt(&self, key: u64, attempt: &Measurement) -> OfRequest {
        let mut known = OfRequest::default();
        self.operations.with(key, |open| {
            open.chain.note_attempt(attempt);
            known.add(&open.measurement);
        });
        known
    }

    /// By what the open operation `key` is known to the gateway and its client.
    pub(crate) fn request_id(&self, key: u64) -> Option<Box<str>> {
        let id = self
            .operations
            .with(key, |open| open.measurement.request_id().map(Box::from));
        id.flatten()
    }

    /// Tells the open operation `key` that it waited on purpose from `started` to `ended`.
    pub(crate) fn note_wait(&self, key: u64, started: Timestamp, ended: Timestamp) {
        self.operations
            .with(key, |open| open.chain.note_wait(started, ended));
    }

    /// Bytes that the queue has on the heap.
    pub(crate) fn queue_bytes(&self) -> usize {
        self.queue.heap_bytes()
    }

    pub(crate) fn offered(&self) -> u64 {
        self.queue.offered() + self.refused.load(Ordering::Relaxed)
    }

    pub(crate) fn counted(&self) -> u64 {
        self.tally.get().map_or(0, |tally| tally.counted())
    }

    pub(crate) fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped
            .get(reason as usize)
            .map_or(0, |count| count.load(Ordering::Relaxed))
    }

    #[cold]
    fn ask(&self) {
        if let Some(tally) = self.tally.get() {
            tally.ask();
        }
    }

    #[cold]
    fn count_here(&self, measurement: Measurement) {
        if let Some(tally) = self.tally.get() {
            tally.count(&mut vec![measurement]);
        }
    }

    #[cold]
    fn drop_as_closed(&self, why: Closed) {
        self.add_dropped(match why {
            Closed::Stopped => DropReason::Stopped,
            Closed::ShutDown => DropReason::Shutdown,
        });
    }

    fn add_dropped(&self, reason: DropReason) {
        if let Some(count) = self.dropped.get(reason as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A bad status without a better error type is its own error type, for an operation only from 500
/// on, as the HTTP conventions have it for servers.
#[inline]
pub(crate) fn settle_status(measurement: &mut Measurement) {
    let from = match measurement.kind {
        Kind::Attempt | Kind::Component | Kind::Experiment => 400,
        Kind::Operation => 500,
        Kind::Signal | Kind::Timer => return,
    };
    if let (None, Some(status)) = (measurement.error, measurement.status)
        && status >= from
    {
        measurement.error = error_type::of_status(status);
    }
}

/// The attempt of an operation that named a provider and had no attempt below it.
pub(crate) fn attempt_of(operation: &Measurement) -> Measurement {
    let mut attempt = operation.clone();
    attempt.kind = Kind::Attempt;
    attempt.event = PerformanceEventType::ProviderEnd;
    attempt.request_size = Count::NONE;
    attempt.response_size = Count::NONE;
    settle_status(&mut attempt);
    attempt
}

/// Nanoseconds from `started` to `ended`.
#[inline]
pub(crate) fn nanos(ended: Timestamp, started: Timestamp) -> u64 {
    ended
        .as_unix_nanos()
        .saturating_sub(started.as_unix_nanos())
}

/// The label of `text` in `table`; none for an empty text.
pub(crate) fn label_of(table: &LabelTable, text: &str) -> Label {
    if text.is_empty() {
        Label::NONE
    } else {
        table.label(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorder(max_open: usize) -> Recorder {
        let config = Config {
            max_open,
            ..Config::default()
        };
        Recorder::new(Clock::start(), 1, &config)
    }

    fn request(recorder: &Recorder) -> crate::core::record::EventId {
        recorder.request_start("req", "/anthropic", "POST", "cerebras", "m")
    }

    #[test]
    fn a_request_that_never_ends_is_given_up_after_an_hour() {
        let recorder = recorder(1_000);
        let before = recorder.now();
        let forgotten = request(&recorder);
        let kept = recorder.begin(recorder.operation("/long", "GET"), true);
        let after = recorder.now();
        recorder.give_up_what_never_ended(before.after(NEVER_ENDED));
        assert_eq!(
            recorder.dropped(DropReason::NeverEnded),
            0,
            "an hour is not over"
        );
        recorder.give_up_what_never_ended(after.after(NEVER_ENDED + Duration::from_nanos(1)));
        assert_eq!(recorder.dropped(DropReason::NeverEnded), 1);
        assert_eq!(recorder.offered(), 2, "its start, and that it was given up");
        assert!(!recorder.request_end(forgotten, true, 200, 0, "", 0.0));
        assert!(
            kept.is_some_and(|key| recorder.end(key, |_| {})),
            "a guard will end it"
        );
    }

    #[test]
    fn requests_that_never_end_are_bounded_and_make_room_when_they_are_given_up() {
        let recorder = recorder(256);
        for _ in 0..10_000 {
            request(&recorder);
        }
        let open = recorder.operations.len() as u64;
        assert!(open <= 256, "{open}");
        assert_eq!(recorder.dropped(DropReason::TooManyOpen), 10_000 - open);
        recorder.give_up_what_never_ended(recorder.now().after(2 * NEVER_ENDED));
        assert_eq!(recorder.dropped(DropReason::NeverEnded), open);
        let next = request(&recorder);
        assert!(recorder.request_end(next, true, 200, 0, "", 0.0));
    }
}
