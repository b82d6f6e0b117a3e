//! Histograms with explicit boundaries, as a meter provider of the host's may keep them.

use std::sync::Arc;

use crate::core::histogram::{ExponentialHistogram, largest, least, nearest_rank};

/// How values were distributed over fixed buckets.
///
/// Bucket `i` holds the values in `(bounds[i-1], bounds[i]]`; the first has no lower and the last
/// no upper bound.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ClassicHistogram {
    /// Ascending.
    bounds: Arc<[f64]>,
    /// One more than `bounds`.
    counts: Vec<u64>,
    count: u64,
    sum: f64,
    min: Option<f64>,
    max: Option<f64>,
}

impl ClassicHistogram {
    /// From the parts that a metrics SDK keeps. Missing counts are zero.
    pub(crate) fn from_parts(
        bounds: Arc<[f64]>,
        counts: impl IntoIterator<Item = u64>,
        sum: f64,
        min: Option<f64>,
        max: Option<f64>,
    ) -> Self {
        let mut counts: Vec<u64> = counts.into_iter().collect();
        counts.resize(bounds.len().saturating_add(1), 0);
        let count = counts.iter().fold(0, |sum: u64, n| sum.saturating_add(*n));
        Self {
            bounds,
            counts,
            count,
            sum: if sum.is_finite() { sum } else { 0.0 },
            min: least(min, None),
            max: largest(max, None),
        }
    }

    /// An empty one.
    pub(crate) fn new(bounds: Arc<[f64]>) -> Self {
        Self::from_parts(bounds, [], 0.0, None, None)
    }

    /// The nearest that an exponential histogram comes to one with these `bounds`.
    pub(crate) fn from_exponential(histogram: &ExponentialHistogram, bounds: Arc<[f64]>) -> Self {
        let mut below = 0;
        let cumulative = histogram.cumulative(&bounds);
        let counts: Vec<u64> = cumulative
            .into_iter()
            .chain([histogram.count()])
            .map(|up_to| up_to.saturating_sub(std::mem::replace(&mut below, up_to)))
            .collect();
        let (sum, min, max) = (histogram.sum(), histogram.min(), histogram.max());
        Self::from_parts(bounds, counts, sum, min, max)
    }

    /// The boundaries, ascending.
    pub(crate) fn bounds(&self) -> &Arc<[f64]> {
        &self.bounds
    }

    /// One count for each bucket.
    pub(crate) fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// How many values.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The sum of all values.
    pub(crate) fn sum(&self) -> f64 {
        self.sum
    }

    /// The least value, if known.
    pub(crate) fn min(&self) -> Option<f64> {
        self.min
    }

    /// The largest value, if known.
    pub(crate) fn max(&self) -> Option<f64> {
        self.max
    }

    /// Adds all of `other`. Where the boundaries differ, those that both have are kept.
    pub(crate) fn merge(&mut self, other: &Self) {
        if self.bounds == other.bounds {
            add_counts(&mut self.counts, &other.counts);
        } else {
            let common: Arc<[f64]> = self
                .bounds
                .iter()
                .filter(|bound| other.bounds.contains(bound))
                .copied()
                .collect();
            self.counts = self.coarsened(&common);
            add_counts(&mut self.counts, &other.coarsened(&common));
            self.bounds = common;
        }
        self.count = self.count.saturating_add(other.count);
        self.sum += other.sum;
        self.min = least(self.min, other.min);
        self.max = largest(self.max, other.max);
    }

    /// The value of nearest rank, interpolated linearly within its bucket, and the largest
    /// relative error that it may have in percent: infinite where the bucket reaches down to
    /// zero, or where it has no upper end. None without values.
    pub(crate) fn quantile(&self, q: f64) -> Option<(f64, f64)> {
        let rank = nearest_rank(q, self.count)?;
        match (self.min, self.max) {
            (_, Some(max)) if rank == self.count => return Some((max, 0.0)),
            (Some(min), _) if rank == 1 => return Some((min, 0.0)),
            _ => {}
        }
        let mut below = 0_u64;
        let lower = std::iter::once(f64::NEG_INFINITY).chain(self.bounds.iter().copied());
        let upper = self.bounds.iter().copied().chain([f64::INFINITY]);
        for ((low, high), &count) in lower.zip(upper).zip(&self.counts) {
            let inside = rank.saturating_sub(below);
            below = below.saturating_add(count);
            if rank > below {
                continue;
            }
            return Some(self.interpolate(low, high, inside as f64 / count as f64));
        }
        None
    }

    /// A point at `fraction` of the bucket `(low, high]`, and its largest relative error in percent.
    fn interpolate(&self, low: f64, high: f64, fraction: f64) -> (f64, f64) {
        // Negative values are refused before they are recorded.
        let low = low.max(self.min.unwrap_or(0.0)).max(0.0);
        let high = high.min(self.max.unwrap_or(f64::INFINITY));
        if !high.is_finite() {
            return (low, f64::INFINITY);
        }
        let estimate = low + (high - low) * fraction;
        let error = if low > 0.0 {
            ((estimate - low) / low).max((high - estimate) / high)
        } else if high > 0.0 {
            f64::INFINITY
        } else {
            0.0
        };
        (estimate, error * 100.0)
    }

    /// The counts over `bounds`, which are some of ours.
    fn coarsened(&self, bounds: &[f64]) -> Vec<u64> {
        let mut counts = vec![0_u64; bounds.len().saturating_add(1)];
        let mut bucket = 0_usize;
        let upper = self.bounds.iter().copied().chain([f64::INFINITY]);
        for (upper, count) in upper.zip(&self.counts) {
            while bounds.get(bucket).is_some_and(|bound| *bound < upper) {
                bucket = bucket.saturating_add(1);
            }
            if let Some(slot) = counts.get_mut(bucket) {
                *slot = slot.saturating_add(*count);
            }
        }
        counts
    }
}

fn add_counts(to: &mut [u64], from: &[u64]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = to.saturating_add(*from);
    }
}
