//! Series, the values they take in one collection interval, and a whole collection of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::core::classic::ClassicHistogram;
use crate::core::histogram::ExponentialHistogram;

/// The attributes of one series, sorted by key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Labels(Arc<[(Arc<str>, Arc<str>)]>);

impl Labels {
    /// From pairs in any order; of two with one key the later wins.
    pub(crate) fn new(pairs: impl IntoIterator<Item = (Arc<str>, Arc<str>)>) -> Self {
        let sorted: BTreeMap<Arc<str>, Arc<str>> = pairs.into_iter().collect();
        Self(sorted.into_iter().collect())
    }

    /// The value of `key`.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        // A series has a handful of labels: a scan beats a search.
        self.iter().find_map(|(k, v)| (k == key).then_some(v))
    }

    /// All pairs, by key.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(k, v)| (&**k, &**v))
    }

    /// The same labels over the strings that `intern` gives.
    pub(crate) fn interned(&self, mut intern: impl FnMut(&Arc<str>) -> Arc<str>) -> Self {
        let pairs: Vec<_> = self.0.iter().map(|(k, v)| (intern(k), intern(v))).collect();
        let same = |((a, b), (c, d)): (&(_, _), &(_, _))| Arc::ptr_eq(a, c) && Arc::ptr_eq(b, d);
        if pairs.iter().zip(self.0.iter()).all(same) {
            return self.clone();
        }
        Self(pairs.into())
    }

    /// Heap bytes of the pairs themselves, without the strings.
    pub(crate) fn heap_bytes(&self) -> usize {
        16 + size_of_val(&*self.0)
    }
}

impl<K: Into<Arc<str>>, V: Into<Arc<str>>, const N: usize> From<[(K, V); N]> for Labels {
    fn from(pairs: [(K, V); N]) -> Self {
        Self::new(pairs.map(|(k, v)| (k.into(), v.into())))
    }
}

/// What tells one series from another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SeriesKey {
    /// The name of the instrumentation scope.
    pub(crate) scope: Arc<str>,
    /// The name of the OpenTelemetry instrument.
    pub(crate) metric: Arc<str>,
    /// The attributes.
    pub(crate) labels: Labels,
}

/// What one series did in one collection interval.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// A base-2 exponential histogram, delta temporality.
    Exponential(ExponentialHistogram),
    /// A histogram with explicit boundaries, delta temporality.
    Classic(ClassicHistogram),
    /// A sum, delta temporality.
    Sum(f64),
    /// The last value of a gauge, or of a sum that goes up and down.
    Gauge(f64),
}

impl Value {
    /// Whether nothing was recorded. A bound instrument reports such values for ever.
    pub(crate) fn is_idle(&self) -> bool {
        match self {
            Self::Exponential(histogram) => histogram.count() == 0,
            Self::Classic(histogram) => histogram.count() == 0,
            Self::Sum(sum) => *sum == 0.0,
            Self::Gauge(_) => false,
        }
    }
}

/// What a metric says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct MetricInfo {
    /// The unit, in UCUM, e.g. `s` or `By`.
    pub(crate) unit: Arc<str>,
    /// The description.
    pub(crate) description: Arc<str>,
}

/// Everything that was recorded in `(since, until]`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Collection {
    /// The end of the collection before this one.
    pub(crate) since: Timestamp,
    /// When this one was made.
    pub(crate) until: Timestamp,
    /// One point for each series.
    pub(crate) points: Vec<(SeriesKey, Value)>,
    /// Unit and description by scope and metric: two scopes may disagree on the unit.
    pub(crate) metrics: BTreeMap<(Arc<str>, Arc<str>), MetricInfo>,
}
