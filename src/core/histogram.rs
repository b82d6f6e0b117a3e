//! Base-2 exponential histograms: merge, quantiles with a known error, classic buckets.
//!
//! At scale `s` the base is `b = 2^(2^-s)`, and bucket `i` holds the values in `(b^i, b^(i+1)]`,
//! as in the OpenTelemetry data model. Two histograms merge without loss at the coarser of their
//! scales, since a bucket of a coarser scale is the union of whole finer ones.

use crate::core::packed::Buckets;

/// The finest scale of the OpenTelemetry data model.
const FINEST_SCALE: i8 = 20;

/// The most buckets that a merged histogram spans before it gives up a scale. At scale 6 this is
/// 64 doublings: from a nanosecond to centuries.
const MAX_SPAN: i64 = 4096;

/// How values that are zero or more were distributed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ExponentialHistogram {
    scale: i8,
    /// The index of the first of `counts`.
    offset: i32,
    /// Neither the first nor the last is zero.
    counts: Vec<u64>,
    zero_count: u64,
    count: u64,
    sum: f64,
    min: Option<f64>,
    max: Option<f64>,
}

impl Default for ExponentialHistogram {
    fn default() -> Self {
        Self::new(FINEST_SCALE)
    }
}

impl ExponentialHistogram {
    /// An empty one, no finer than `scale`.
    pub(crate) fn new(scale: i8) -> Self {
        Self {
            scale: scale.min(FINEST_SCALE),
            offset: 0,
            counts: Vec::new(),
            zero_count: 0,
            count: 0,
            sum: 0.0,
            min: None,
            max: None,
        }
    }

    /// From the parts that a metrics SDK keeps. `counts` begin with the bucket `offset`; the
    /// count of the whole is theirs and the zero count's, so values below zero belong in
    /// `zero_count`. `min` and `max` that are not finite are unknown.
    pub(crate) fn from_parts(
        scale: i8,
        zero_count: u64,
        offset: i32,
        counts: impl IntoIterator<Item = u64>,
        sum: f64,
        min: Option<f64>,
        max: Option<f64>,
    ) -> Self {
        let mut histogram = Self::new(scale);
        let buckets = (offset..).zip(counts).filter(|&(_, count)| count > 0);
        // Collected first, as the range has to be known before the merge.
        let buckets: Vec<(i32, u64)> = buckets.collect();
        histogram.add_zeros(zero_count);
        if let (Some(&(first, _)), Some(&(last, _))) = (buckets.first(), buckets.last()) {
            let shift = histogram.make_room(scale, first, last);
            for (index, count) in buckets {
                histogram.add_at(index >> shift, count);
            }
        }
        histogram.add_extremes(sum, min, max);
        histogram
    }

    /// Counts one `value`; one that is below zero or not finite is left out.
    #[cfg(test)]
    pub(crate) fn record(&mut self, value: f64) {
        if !value.is_finite() || value < 0.0 {
            return;
        }
        if value == 0.0 {
            self.add_zeros(1);
        } else {
            let index = bucket_of(value, self.scale);
            let shift = self.make_room(self.scale, index, index);
            self.add_at(index >> shift, 1);
        }
        self.add_extremes(value, Some(value), Some(value));
    }

    /// Adds all of `other`.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.add_zeros(other.zero_count);
        if let Some(last) = other.last_index() {
            let shift = self.make_room(other.scale, other.offset, last);
            for (index, count) in other.buckets() {
                self.add_at(index >> shift, count);
            }
        } else {
            self.rescale(other.scale);
        }
        self.add_extremes(other.sum, other.min, other.max);
    }

    /// Adds all of `packed`, without building a histogram in between.
    pub(crate) fn merge_packed(&mut self, packed: &Buckets<'_>) {
        self.add_zeros(packed.zero_count);
        if let Some((first, last)) = packed.range() {
            let shift = self.make_room(packed.scale, first, last);
            // All that the loop needs at hand: most of the time of a view goes by in here.
            let (offset, counts) = (self.offset, self.counts.as_mut_slice());
            packed.for_each(|index, count| {
                let position = (index >> shift).wrapping_sub(offset).cast_unsigned();
                if let Some(slot) = counts.get_mut(position as usize) {
                    *slot = slot.saturating_add(count);
                }
            });
            let above_zero = packed.count.saturating_sub(packed.zero_count);
            self.count = self.count.saturating_add(above_zero);
        } else {
            self.rescale(packed.scale);
        }
        self.add_extremes(packed.sum, packed.min, packed.max);
    }

    /// The scale: the coarsest of all that was merged.
    pub(crate) fn scale(&self) -> i8 {
        self.scale
    }

    /// How many values.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// How many of them were zero.
    pub(crate) fn zero_count(&self) -> u64 {
        self.zero_count
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

    /// The largest relative error of [`Self::quantile`]: `(b − 1) / (b + 1)`, in percent.
    pub(crate) fn quantile_error_percent(&self) -> f64 {
        half_width(self.scale) * 100.0
    }

    /// The value of nearest rank `⌈q·n⌉` (at least 1), within [`Self::quantile_error_percent`];
    /// none without values.
    pub(crate) fn quantile(&self, q: f64) -> Option<f64> {
        let rank = nearest_rank(q, self.count)?;
        if rank == self.count && self.max.is_some() {
            return self.max;
        }
        if rank == 1 && self.min.is_some() {
            return self.min;
        }
        let mut below = self.zero_count;
        if rank <= below {
            return Some(0.0);
        }
        for (index, count) in self.buckets() {
            below = below.saturating_add(count);
            if rank <= below {
                let estimate = self.value_of(index);
                let estimate = self.max.map_or(estimate, |max| estimate.min(max));
                return Some(self.min.map_or(estimate, |min| estimate.max(min)));
            }
        }
        self.max
    }

    /// For each of `boundaries`, which ascend, how many values are at most that.
    ///
    /// The fine bucket that straddles a boundary is counted whole, so an answer may be too large
    /// by that one bucket. No other rule keeps the answers of a growing histogram from ever
    /// going down when it is scaled down, and Prometheus reads a decrease as a restart.
    pub(crate) fn cumulative(&self, boundaries: &[f64]) -> Vec<u64> {
        let mut buckets = self.buckets().peekable();
        let mut below = 0_u64;
        boundaries
            .iter()
            .map(|&boundary| {
                while let Some(&(index, count)) = buckets.peek() {
                    if lower_bound(index, self.scale) >= boundary {
                        break;
                    }
                    below = below.saturating_add(count);
                    buckets.next();
                }
                let zeros = if boundary >= 0.0 { self.zero_count } else { 0 };
                below.saturating_add(zeros)
            })
            .collect()
    }

    /// The buckets that hold something, in ascending order: index and count.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = (i32, u64)> + Clone + '_ {
        (self.offset..)
            .zip(self.counts.iter().copied())
            .filter(|&(_, count)| count > 0)
    }

    /// What stands for the values in bucket `index`: 2·lo·hi / (lo + hi), the point whose relative
    /// error is the same at both ends.
    pub(crate) fn value_of(&self, index: i32) -> f64 {
        lower_bound(index, self.scale) * (1.0 + half_width(self.scale))
    }

    /// Every bucket from the first to the last that holds something.
    pub(crate) fn dense(&self) -> (i32, &[u64]) {
        (self.offset, &self.counts)
    }

    /// Gives up precision until the scale is at most `scale`.
    pub(crate) fn rescale(&mut self, scale: i8) {
        let shift = shift_between(self.scale, scale);
        if shift == 0 {
            return;
        }
        self.scale = scale;
        if self.counts.is_empty() {
            return;
        }
        let fine = std::mem::take(&mut self.counts);
        let fine_offset = self.offset;
        let last = fine_offset.saturating_add(to_i32(fine.len()).saturating_sub(1));
        self.offset = fine_offset >> shift;
        self.counts = vec![0; span(self.offset, last >> shift)];
        for (index, count) in (fine_offset..).zip(fine) {
            if let Some(slot) = self.position(index >> shift) {
                *slot = slot.saturating_add(count);
            }
        }
    }

    /// Makes the buckets `first..=last` of `scale` fit, and returns by how much an index of
    /// `scale` is to be shifted to become one of ours.
    fn make_room(&mut self, scale: i8, first: i32, last: i32) -> u32 {
        self.rescale(scale);
        loop {
            let shift = shift_between(scale, self.scale);
            let (mut first, mut last) = (first >> shift, last >> shift);
            if let Some(own_last) = self.last_index() {
                first = first.min(self.offset);
                last = last.max(own_last);
            }
            if i64::from(last) - i64::from(first) >= MAX_SPAN {
                self.rescale(self.scale.saturating_sub(1));
                continue;
            }
            if self.counts.is_empty() {
                self.offset = first;
            } else if first < self.offset {
                let missing = span(first, self.offset).saturating_sub(1);
                self.counts.splice(0..0, std::iter::repeat_n(0, missing));
                self.offset = first;
            }
            let wanted = span(first, last);
            if wanted > self.counts.len() {
                self.counts.resize(wanted, 0);
            }
            return shift;
        }
    }

    fn add_zeros(&mut self, count: u64) {
        self.zero_count = self.zero_count.saturating_add(count);
        self.count = self.count.saturating_add(count);
    }

    /// Adds to a bucket that [`Self::make_room`] made.
    #[inline]
    fn add_at(&mut self, index: i32, count: u64) {
        if let Some(slot) = self.position(index) {
            *slot = slot.saturating_add(count);
            self.count = self.count.saturating_add(count);
        }
    }

    fn add_extremes(&mut self, sum: f64, min: Option<f64>, max: Option<f64>) {
        if sum.is_finite() {
            self.sum += sum;
        }
        self.min = least(self.min, min);
        self.max = largest(self.max, max);
    }

    #[inline]
    fn position(&mut self, index: i32) -> Option<&mut u64> {
        // An index below the offset wraps to a position that there is not.
        let position = index.wrapping_sub(self.offset).cast_unsigned();
        self.counts.get_mut(position as usize)
    }

    fn last_index(&self) -> Option<i32> {
        let behind_first = self.counts.len().checked_sub(1)?;
        Some(self.offset.saturating_add(to_i32(behind_first)))
    }
}

/// `⌈q·n⌉`, between 1 and `n`; none without values.
pub(crate) fn nearest_rank(q: f64, count: u64) -> Option<u64> {
    if count == 0 {
        return None;
    }
    // The product of a decimal fraction and a whole number may come out a hair above the whole
    // number that it is: 0.07 · 100 is 7.000000000000001.
    let exact = q.clamp(0.0, 1.0) * count as f64;
    let rank = (exact - exact * 1e-15).ceil();
    Some((rank as u64).clamp(1, count))
}

/// The least of the known and finite ones.
pub(crate) fn least(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    let finite = |x: &f64| x.is_finite();
    a.into_iter().chain(b).filter(finite).reduce(f64::min)
}

/// The largest of the known and finite ones.
pub(crate) fn largest(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    let finite = |x: &f64| x.is_finite();
    a.into_iter().chain(b).filter(finite).reduce(f64::max)
}

/// The logarithm of the base, to base 2: `2^-scale`.
fn log2_base(scale: i8) -> f64 {
    f64::from(-i32::from(scale)).exp2()
}

/// `(b − 1) / (b + 1)`, also where `b` is past the largest number.
fn half_width(scale: i8) -> f64 {
    (log2_base(scale) * std::f64::consts::LN_2 / 2.0).tanh()
}

/// `b^index`: what bucket `index` is above.
fn lower_bound(index: i32, scale: i8) -> f64 {
    (f64::from(index) * log2_base(scale)).exp2()
}

/// The bucket of a `value` above zero.
#[cfg(test)]
fn bucket_of(value: f64, scale: i8) -> i32 {
    let mut index = (value.log2() / log2_base(scale)).ceil() as i32 - 1;
    // The logarithm is not exact near a boundary; the boundary decides.
    while lower_bound(index, scale) >= value {
        index = index.saturating_sub(1);
    }
    while lower_bound(index.saturating_add(1), scale) < value {
        index = index.saturating_add(1);
    }
    index
}

/// By how much an index of scale `fine` shifts to become one of `coarse`.
fn shift_between(fine: i8, coarse: i8) -> u32 {
    let shift = i32::from(fine) - i32::from(coarse);
    // 31 brings every index to 0 or -1, and is the most that a shift may be.
    u32::try_from(shift).unwrap_or(0).min(31)
}

/// How many buckets `first..=last` are.
fn span(first: i32, last: i32) -> usize {
    let width = i64::from(last) - i64::from(first) + 1;
    usize::try_from(width).unwrap_or(0)
}

fn to_i32(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests;
