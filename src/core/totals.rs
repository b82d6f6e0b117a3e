//! What every series did since the start: bounded in number, packed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::BuildHasher;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::core::aggregate::Aggregate;
use crate::core::packed::{BoundsTable, Packed, pack};
use crate::core::packing::Writer;
use crate::core::series::{Labels, MetricInfo, SeriesKey};
use crate::core::slot::SeriesId;
use crate::names;

/// Unit and description by scope and metric.
pub(crate) type MetricInfos = BTreeMap<(Arc<str>, Arc<str>), MetricInfo>;

/// What one series did since the start.
#[derive(Debug)]
pub(crate) struct Total {
    key: SeriesKey,
    packed: Box<[u8]>,
    bounds: Box<[Arc<[f64]>]>,
    last_active: Timestamp,
}

impl Total {
    fn new(key: SeriesKey, aggregate: &Aggregate, last_active: Timestamp) -> Self {
        let mut bounds = BoundsTable::new();
        let mut packed = Writer::default();
        pack(aggregate, &mut bounds, &mut packed);
        Self {
            key,
            packed: packed.finish().into(),
            bounds: bounds.into(),
            last_active,
        }
    }

    /// The series.
    pub(crate) fn key(&self) -> &SeriesKey {
        &self.key
    }

    /// What it did since the start.
    pub(crate) fn packed(&self) -> Packed<'_> {
        Packed::new(&self.packed, &self.bounds)
    }

    /// The end of the last collection in which it did something.
    pub(crate) fn last_active(&self) -> Timestamp {
        self.last_active
    }

    fn heap_bytes(&self) -> usize {
        let own = 16 + size_of::<Self>() + self.packed.len() + size_of_val(&*self.bounds);
        own + self.key.labels.heap_bytes()
    }
}

/// What all series did since the start, at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Totals {
    /// By id.
    pub(crate) series: Arc<[Arc<Total>]>,
    /// Unit and description.
    pub(crate) metrics: Arc<MetricInfos>,
    /// How many points went to an overflow series as there were too many series.
    pub(crate) folded: u64,
}

/// Adds up what the series do.
#[derive(Debug)]
pub(crate) struct TotalsRecorder {
    max_series: usize,
    /// By the hash of its key, or where that is taken, by the next free number.
    ids: HashMap<u64, SeriesId>,
    series: Vec<Arc<Total>>,
    strings: BTreeSet<Arc<str>>,
    metrics: Arc<MetricInfos>,
    folded: u64,
}

impl TotalsRecorder {
    /// Keeps `max_series` series, and beyond these one more for each metric.
    pub(crate) fn new(max_series: usize) -> Self {
        Self {
            max_series,
            ids: HashMap::new(),
            series: Vec::new(),
            strings: BTreeSet::new(),
            metrics: Arc::default(),
            folded: 0,
        }
    }

    /// Keeps unit and description of metrics that are new.
    pub(crate) fn describe(&mut self, metrics: MetricInfos) {
        for (name, info) in metrics {
            if !self.metrics.contains_key(&name) {
                Arc::make_mut(&mut self.metrics).insert(name, info);
            }
        }
    }

    /// Adds what a series did until `until`, and returns the id of the series that took it.
    pub(crate) fn add(
        &mut self,
        key: &SeriesKey,
        aggregate: &Aggregate,
        until: Timestamp,
    ) -> SeriesId {
        let id = self.find(key).ok();
        let id = id.unwrap_or_else(|| self.admit(key, aggregate));
        if let Some(total) = self.series.get_mut(id as usize) {
            let mut sum = total.packed().unpack();
            sum.merge(aggregate);
            *total = Arc::new(Total::new(total.key.clone(), &sum, until));
        }
        id
    }

    /// The totals as they are now.
    pub(crate) fn totals(&self) -> Totals {
        Totals {
            series: self.series.as_slice().into(),
            metrics: Arc::clone(&self.metrics),
            folded: self.folded,
        }
    }

    /// Bytes on the heap, near enough: of the map, the load factor is a guess.
    pub(crate) fn heap_bytes(&self) -> usize {
        let totals: usize = self.series.iter().map(|total| total.heap_bytes()).sum();
        let strings: usize = self.strings.iter().map(|text| 16 + 16 + text.len()).sum();
        let map = self
            .ids
            .capacity()
            .saturating_mul(size_of::<(u64, SeriesId)>() + 1);
        totals + strings + map * 8 / 7 + self.series.capacity() * size_of::<Arc<Total>>()
    }

    /// Gives a series a place, if there is one left.
    fn admit(&mut self, key: &SeriesKey, like: &Aggregate) -> SeriesId {
        if self.ids.len() < self.max_series {
            let key = self.interned(key);
            return self.insert(key, like);
        }
        self.folded = self.folded.saturating_add(1);
        let overflow = SeriesKey {
            labels: Labels::from([(names::METRIC_OVERFLOW, "true")]),
            ..key.clone()
        };
        if let Ok(id) = self.find(&overflow) {
            return id;
        }
        // One for each metric, which are as many as the program has instruments.
        let overflow = self.interned(&overflow);
        self.insert(overflow, like)
    }

    fn insert(&mut self, key: SeriesKey, like: &Aggregate) -> SeriesId {
        let id = SeriesId::try_from(self.series.len()).unwrap_or(SeriesId::MAX);
        if let Err(free) = self.find(&key) {
            self.ids.insert(free, id);
        }
        let total = Total::new(key, &like.zero(), Timestamp::EPOCH);
        self.series.push(Arc::new(total));
        id
    }

    /// The id of the series, or the number that is free for it.
    fn find(&self, key: &SeriesKey) -> Result<SeriesId, u64> {
        let mut number = self.ids.hasher().hash_one(key);
        while let Some(&id) = self.ids.get(&number) {
            let series = self.series.get(id as usize);
            if series.is_some_and(|total| total.key() == key) {
                return Ok(id);
            }
            number = number.wrapping_add(1);
        }
        Err(number)
    }

    /// The key over strings that the keys share: each collection brings copies of its own.
    fn interned(&mut self, key: &SeriesKey) -> SeriesKey {
        let strings = &mut self.strings;
        let mut intern = |text: &Arc<str>| match strings.get(text) {
            Some(known) => Arc::clone(known),
            None => {
                strings.insert(Arc::clone(text));
                Arc::clone(text)
            }
        };
        SeriesKey {
            scope: intern(&key.scope),
            metric: intern(&key.metric),
            labels: key.labels.interned(intern),
        }
    }
}
