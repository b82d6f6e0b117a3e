//! One bound histogram, and the values that wait to be recorded into it.
//!
//! The SDK has a bucket of eight bytes for everything between the least and the largest value of
//! a series, from its first value on. So values wait, at five bytes each, until there are many or
//! until somebody collects: then it has the buckets for no longer than it needs them, and records
//! a whole series at once.

use crate::core::measurement::Count;
use opentelemetry::metrics::BoundHistogram;

/// So many values wait at the most: beyond it, the buckets take less.
const WAITING: usize = 128;

/// What a histogram takes for a whole number of nanoseconds, tokens or bytes.
pub(super) trait Unit: Copy {
    fn of(number: u64) -> Self;
}

/// Seconds.
impl Unit for f64 {
    #[inline]
    fn of(nanos: u64) -> Self {
        nanos as Self / 1e9
    }
}

/// Tokens or bytes.
impl Unit for u64 {
    #[inline]
    fn of(count: u64) -> Self {
        count
    }
}

/// See the module's description.
#[derive(Debug)]
pub(super) struct Distribution<T> {
    histogram: BoundHistogram<T>,
    waiting: Vec<Count>,
}

impl<T: Unit> Distribution<T> {
    pub(super) const fn new(histogram: BoundHistogram<T>) -> Self {
        Self {
            histogram,
            waiting: Vec::new(),
        }
    }

    /// Records so many nanoseconds, tokens or bytes.
    #[inline]
    pub(super) fn record(&mut self, number: u64) {
        // A quarter of an hour, or a terabyte, is too large to wait.
        if number > Count::LARGEST {
            return self.histogram.record(T::of(number));
        }
        if self.waiting.len() >= WAITING {
            self.flush();
        }
        if self.waiting.len() == self.waiting.capacity() {
            let more = (self.waiting.len() / 4).max(4);
            self.waiting.reserve_exact(more);
        }
        self.waiting.push(Count::new(number));
    }

    /// Records what waits.
    pub(super) fn flush(&mut self) {
        let waiting = outermost_first(&mut self.waiting);
        for number in waiting.iter().filter_map(|count| count.get()) {
            self.histogram.record(T::of(number));
        }
        // What a quiet series needed while it was busy is not kept for ever.
        if self.waiting.capacity() > self.waiting.len() * 4 {
            self.waiting.shrink_to(self.waiting.len() * 2);
        }
        self.waiting.clear();
    }

    /// Bytes on the heap, without what the SDK has.
    pub(super) fn heap_bytes(&self) -> usize {
        self.waiting.capacity() * size_of::<Count>()
    }
}

/// The same values, beginning with the largest and the least: the SDK then makes its buckets once,
/// as many as are needed, and does not move them again.
fn outermost_first<T: PartialOrd>(values: &mut [T]) -> &[T] {
    if let Some(last) = values.len().checked_sub(1) {
        for at in 1..=last {
            if values.get(at) > values.first() {
                values.swap(0, at);
            }
        }
        for at in 2..=last {
            if values.get(at) < values.get(1) {
                values.swap(1, at);
            }
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_largest_comes_first_then_the_least(
            values in prop::collection::vec(0..100_u64, 0..40),
        ) {
            let mut ordered = values.clone();
            outermost_first(&mut ordered);
            prop_assert_eq!(ordered.first(), values.iter().max());
            if values.len() > 1 {
                prop_assert_eq!(ordered.get(1), values.iter().min());
            }
            let sorted = |mut values: Vec<u64>| {
                values.sort_unstable();
                values
            };
            prop_assert_eq!(sorted(ordered), sorted(values));
        }
    }
}
