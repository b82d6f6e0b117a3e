//! What is kept of a gauge over some time: how often it was read, and what was read.

/// The readings of a gauge.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Level {
    /// How many.
    pub(crate) count: u64,
    /// Their sum.
    pub(crate) sum: f64,
    /// The least; zero without any.
    pub(crate) min: f64,
    /// The largest; zero without any.
    pub(crate) max: f64,
    /// The last; zero without any.
    pub(crate) last: f64,
}

impl Level {
    /// One reading. What is not finite is none.
    pub(crate) fn of(value: f64) -> Self {
        if !value.is_finite() {
            return Self::default();
        }
        Self {
            count: 1,
            sum: value,
            min: value,
            max: value,
            last: value,
        }
    }

    /// Adds `other`, which is later.
    pub(crate) fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = *other;
            return;
        }
        self.count = self.count.saturating_add(other.count);
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.last = other.last;
    }

    /// The average of the readings; none without any.
    pub(crate) fn average(&self) -> Option<f64> {
        // A sum of readings near the largest number there is might not be finite.
        let average = self.sum / self.count as f64;
        (self.count > 0 && average.is_finite()).then(|| average.clamp(self.min, self.max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(values: &[f64]) -> Level {
        values.iter().fold(Level::default(), |mut level, value| {
            level.merge(&Level::of(*value));
            level
        })
    }

    #[test]
    fn what_is_not_finite_was_not_read() {
        let level = of(&[f64::NAN, 2.0, f64::INFINITY, 4.0, f64::NEG_INFINITY]);
        assert_eq!((level.count, level.average()), (2, Some(3.0)));
        assert_eq!((level.min, level.max, level.last), (2.0, 4.0, 4.0));
        assert_eq!(Level::of(f64::NAN).average(), None);
    }

    proptest! {
        #[test]
        fn it_is_the_same_however_the_readings_are_grouped(
            values in prop::collection::vec(-1e9..1e9_f64, 0..60), cut in 0..60_usize,
        ) {
            let (before, after) = values.split_at(cut.min(values.len()));
            let mut merged = of(before);
            merged.merge(&of(after));
            let whole = of(&values);
            prop_assert_eq!(merged.count, values.len() as u64);
            prop_assert!((merged.sum - whole.sum).abs() <= 1e-3);
            prop_assert_eq!((merged.min, merged.max), (whole.min, whole.max));
            prop_assert_eq!(merged.last, values.last().copied().unwrap_or(0.0));
            if let Some(average) = merged.average() {
                prop_assert!(merged.min <= average && average <= merged.max);
            }
        }
    }
}
