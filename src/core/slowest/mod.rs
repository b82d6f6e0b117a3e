//! The few slowest and the last failed requests of each provider and model, and of each endpoint,
//! for any window; and of the traced ones the newest of each bucket of durations.
//!
//! Of the slow ones, those are kept than which fewer than [`FEW`] later ones were slower: whatever
//! the window, the slowest in it are among them, and of n intervals with requests in no order of
//! slowness it takes some FEW · (1 + ln(n / FEW)) of them.

mod request;

use crate::{
    clock::Timestamp,
    core::{
        labels::Label,
        measurement::{Kind, Measurement},
        recorder::LabelTables,
        word_hash::WordMap,
    },
};
pub(crate) use request::KeptRequest;
use std::{
    collections::{BTreeMap, VecDeque},
    hash::{Hash, Hasher},
    sync::Arc,
};

/// How many are the few.
pub(crate) const FEW: usize = 5;
/// Requests that are kept; of more, the oldest go.
const MOST: usize = 1_536;
/// Requests of the time since the last collection, before they are put to the others.
const MOST_OPEN: usize = 1_024;

/// Whose requests are kept together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    /// A provider and a model.
    Model(Label, Label),
    Endpoint(Label),
}

impl Subject {
    #[inline]
    const fn of(measurement: &Measurement) -> Option<Self> {
        match measurement.kind {
            Kind::Attempt => Some(Self::Model(
                measurement.provider.or(Label::OTHER),
                measurement.model,
            )),
            Kind::Operation => Some(Self::Endpoint(measurement.endpoint.or(Label::OTHER))),
            _ => None,
        }
    }
}

impl Hash for Subject {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [high, low] = match self {
            Self::Model(provider, model) => [provider, model],
            // No model has this for its provider: one that is not told is `_OTHER`.
            Self::Endpoint(endpoint) => [&Label::NONE, endpoint],
        };
        state.write_u64(u64::from(high.number()) << 16 | u64::from(low.number()));
    }
}

/// The buckets of durations, in seconds, in which attempts and operations are counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Boundaries {
    pub(crate) attempts: &'static [f64],
    pub(crate) operations: &'static [f64],
}

impl Boundaries {
    /// The number of the bucket that `request` of `subject` is in.
    fn bucket(&self, subject: Subject, request: &KeptRequest) -> usize {
        let boundaries = match subject {
            Subject::Model(..) => self.attempts,
            Subject::Endpoint(_) => self.operations,
        };
        let seconds = request.seconds();
        boundaries.partition_point(|boundary| *boundary < seconds)
    }
}

/// What is kept of one subject, each in the order in which they ended.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kept {
    pub(crate) slowest: Vec<KeptRequest>,
    pub(crate) failed: Vec<KeptRequest>,
    pub(crate) traced: Vec<KeptRequest>,
}

/// What was kept at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Slowest {
    pub(crate) subjects: BTreeMap<Subject, Kept>,
    /// Of what ended up to then, some were let go for want of room.
    pub(crate) complete_after: Option<Timestamp>,
    /// What the labels say.
    pub(crate) labels: Option<Arc<LabelTables>>,
}

/// Keeps them: what came since the last collection, and all before.
#[derive(Debug)]
pub(crate) struct SlowestKeeper {
    boundaries: Boundaries,
    open: WordMap<Subject, Box<Open>>,
    /// How many are open.
    held: usize,
    kept: Arc<Slowest>,
}

/// Of one subject, since the last collection.
#[derive(Debug, Default)]
struct Open {
    /// What is shorter than this, in nanoseconds, is not among the slowest.
    floor: u64,
    slowest: Vec<KeptRequest>,
    failed: VecDeque<KeptRequest>,
    /// By bucket.
    traced: BTreeMap<usize, KeptRequest>,
}

impl SlowestKeeper {
    pub(crate) fn new(boundaries: Boundaries, labels: Arc<LabelTables>) -> Self {
        Self {
            boundaries,
            open: WordMap::default(),
            held: 0,
            kept: Arc::new(Slowest {
                labels: Some(labels),
                ..Slowest::default()
            }),
        }
    }

    /// Looks at one measurement, the event of that number.
    #[inline]
    pub(crate) fn note(&mut self, number: u64, measurement: &Measurement) {
        let Some(subject) = Subject::of(measurement) else {
            return;
        };
        let open = self.open.entry(subject).or_default();
        let is_slow = measurement.duration >= open.floor;
        let failed = measurement.failed();
        if is_slow || failed || measurement.trace().is_some() {
            let before = open.len();
            open.keep(
                KeptRequest::of(number, measurement),
                (is_slow, failed),
                |request| self.boundaries.bucket(subject, request),
            );
            self.held += open.len().saturating_sub(before);
            if self.held >= MOST_OPEN {
                self.fold(Timestamp::EPOCH);
            }
        }
    }

    /// Puts what came since the last time to the rest, and lets go what ended up to `oldest`; all
    /// that is kept.
    pub(crate) fn fold(&mut self, oldest: Timestamp) -> Arc<Slowest> {
        self.held = 0;
        if self.open.is_empty() && !self.kept.reaches(oldest) {
            return Arc::clone(&self.kept);
        }
        let mut kept = Slowest::clone(&self.kept);
        for (subject, open) in self.open.drain() {
            let bucket = |request: &KeptRequest| self.boundaries.bucket(subject, request);
            kept.subjects.entry(subject).or_default().add(*open, bucket);
        }
        kept.let_go(oldest);
        kept.make_room(MOST);
        self.kept = Arc::new(kept);
        Arc::clone(&self.kept)
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        let open = self.open.values();
        let open = open.map(|open| size_of::<Open>() + open.heap_bytes());
        let place = size_of::<(Subject, Box<Open>)>() + 1;
        open.sum::<usize>() + self.open.capacity() * place + self.kept.heap_bytes()
    }
}

impl Open {
    fn len(&self) -> usize {
        self.slowest.len() + self.failed.len() + self.traced.len()
    }

    fn keep(
        &mut self,
        request: KeptRequest,
        (is_slow, failed): (bool, bool),
        bucket: impl Fn(&KeptRequest) -> usize,
    ) {
        if request.trace().is_some() {
            // They come in about the order in which they ended.
            let place = self.traced.entry(bucket(&request));
            let newest = place.or_insert_with(|| request.clone());
            if newest.ended < request.ended {
                *newest = request.clone();
            }
        }
        if failed {
            if self.failed.len() >= FEW {
                self.failed.pop_front();
            }
            self.failed.reserve_exact(FEW - self.failed.len());
            self.failed.push_back(request.clone());
        }
        if is_slow {
            self.keep_slow(request);
        }
    }

    fn keep_slow(&mut self, request: KeptRequest) {
        if self.slowest.len() < FEW {
            self.slowest.reserve_exact(FEW - self.slowest.len());
            self.slowest.push(request);
        } else if let Some(shortest) = self.slowest.iter_mut().min_by_key(|r| r.duration) {
            *shortest = request;
        }
        if self.slowest.len() >= FEW {
            let shortest = self.slowest.iter().map(|r| r.duration).min();
            self.floor = shortest.map_or(0, |shortest| shortest.saturating_add(1));
        }
    }

    fn heap_bytes(&self) -> usize {
        let lists = self.slowest.capacity() + self.failed.capacity();
        let traced = self.traced.len() * size_of::<(usize, KeptRequest)>();
        let requests = self.slowest.iter().chain(&self.failed);
        let links = requests.chain(self.traced.values());
        let links: usize = links.map(KeptRequest::heap_bytes).sum();
        lists * size_of::<KeptRequest>() + traced + links
    }
}

impl Kept {
    fn add(&mut self, open: Open, bucket: impl Fn(&KeptRequest) -> usize) {
        self.slowest.extend(open.slowest);
        self.slowest.sort_by_key(|request| request.ended);
        self.keep_slowest();
        self.failed.extend(open.failed);
        self.failed.sort_by_key(|request| request.ended);
        let too_many = self.failed.len().saturating_sub(FEW);
        self.failed.drain(..too_many);
        self.traced
            .retain(|request| !open.traced.contains_key(&bucket(request)));
        self.traced.extend(open.traced.into_values());
        self.traced.sort_by_key(|request| request.ended);
    }

    /// Keeps those than which fewer than [`FEW`] later ones are slower.
    fn keep_slowest(&mut self) {
        // The longest of those that ended later, longest first.
        let mut longest: Vec<u64> = Vec::with_capacity(FEW + 1);
        let mut wanted = Vec::with_capacity(self.slowest.len());
        for request in self.slowest.iter().rev() {
            let slower = longest.partition_point(|duration| *duration > request.duration);
            wanted.push(slower < FEW);
            longest.insert(slower, request.duration);
            longest.truncate(FEW);
        }
        self.slowest.retain(|_| wanted.pop().unwrap_or_default());
    }

    fn lists(&self) -> [&Vec<KeptRequest>; 3] {
        [&self.slowest, &self.failed, &self.traced]
    }

    fn retain(&mut self, wanted: impl Fn(&KeptRequest) -> bool) {
        for list in [&mut self.slowest, &mut self.failed, &mut self.traced] {
            list.retain(&wanted);
            list.shrink_to_fit();
        }
    }
}

impl Slowest {
    fn all(&self) -> impl Iterator<Item = &KeptRequest> {
        let subjects = self.subjects.values();
        subjects.flat_map(Kept::lists).flatten()
    }

    /// Whether one of them ended up to `moment`.
    fn reaches(&self, moment: Timestamp) -> bool {
        self.all().any(|request| request.ended <= moment)
    }

    fn let_go(&mut self, oldest: Timestamp) {
        for kept in self.subjects.values_mut() {
            kept.retain(|request| request.ended > oldest);
        }
        self.subjects
            .retain(|_, kept| kept.lists().iter().any(|list| !list.is_empty()));
    }

    /// Lets the oldest go until there are `most` at the most.
    fn make_room(&mut self, most: usize) {
        let mut ends: Vec<Timestamp> = self.all().map(|request| request.ended).collect();
        let Some(last) = ends.len().checked_sub(most + 1) else {
            return;
        };
        let (_, oldest, _) = ends.select_nth_unstable(last);
        let oldest = *oldest;
        self.let_go(oldest);
        self.complete_after = self.complete_after.max(Some(oldest));
    }

    /// Bytes on the heap, near enough.
    pub(crate) fn heap_bytes(&self) -> usize {
        let lists = self.subjects.values().flat_map(Kept::lists);
        let places: usize = lists.map(|list| list.capacity()).sum();
        let links: usize = self.all().map(KeptRequest::heap_bytes).sum();
        let subjects = self.subjects.len() * size_of::<(Subject, Kept)>();
        places * size_of::<KeptRequest>() + links + subjects
    }
}

#[cfg(test)]
mod tests;
