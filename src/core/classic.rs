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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filled(bounds: &[f64], values: &[f64]) -> ClassicHistogram {
        let mut counts = vec![0; bounds.len() + 1];
        for value in values {
            counts[bounds.partition_point(|bound| bound < value)] += 1;
        }
        let (min, max) = (values.iter().copied(), values.iter().copied());
        let (min, max) = (min.reduce(f64::min), max.reduce(f64::max));
        ClassicHistogram::from_parts(bounds.into(), counts, values.iter().sum(), min, max)
    }

    fn bounds() -> impl Strategy<Value = Vec<f64>> {
        let bounds = prop::collection::btree_set(1..40_u32, 0..10);
        bounds.prop_map(|bounds| bounds.into_iter().map(f64::from).collect())
    }

    fn values() -> impl Strategy<Value = Vec<f64>> {
        prop::collection::vec(0.0..50.0_f64, 1..100)
    }

    proptest! {
        #[test]
        fn a_quantile_is_within_its_own_stated_error(bounds in bounds(), values in values()) {
            let histogram = filled(&bounds, &values);
            let mut sorted = values;
            sorted.sort_by(f64::total_cmp);
            for q in [0.0, 0.1, 0.5, 0.95, 1.0] {
                let (estimate, error) = histogram.quantile(q).unwrap();
                let rank = (q * sorted.len() as f64).ceil().max(1.0) as usize;
                let exact = sorted[rank - 1];
                let off = (estimate - exact).abs();
                prop_assert!(off <= exact * (error / 100.0 + 1e-9), "{estimate} for {exact}");
            }
        }

        #[test]
        fn of_different_boundaries_the_common_ones_are_kept_exactly(
            a in bounds(), b in bounds(), values in prop::array::uniform2(values()),
        ) {
            let mut merged = filled(&a, &values[0]);
            merged.merge(&filled(&b, &values[1]));
            let common: Vec<f64> = a.iter().copied().filter(|bound| b.contains(bound)).collect();
            let expected = filled(&common, &values.concat());
            prop_assert_eq!(merged.bounds(), expected.bounds());
            prop_assert_eq!(merged.counts(), expected.counts());
            prop_assert_eq!(merged.count(), expected.count());
            prop_assert_eq!(merged.max(), expected.max());
        }
    }

    #[test]
    fn a_bucket_without_an_end_has_no_error_bound() {
        let open = ClassicHistogram::from_parts([1.0].into(), [0, 3], 9.0, None, None);
        assert_eq!(open.quantile(0.5), Some((1.0, f64::INFINITY)));
        let down_to_zero = ClassicHistogram::from_parts([1.0].into(), [2, 0], 1.0, None, None);
        assert_eq!(down_to_zero.quantile(0.5), Some((0.5, f64::INFINITY)));
        assert_eq!(ClassicHistogram::new([1.0].into()).quantile(0.5), None);
    }
}
