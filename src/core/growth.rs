//! What a series did between two totals, as values and how often each occurred.

use crate::core::aggregate::Aggregate;
use crate::core::classic::ClassicHistogram;
use crate::core::histogram::ExponentialHistogram;

/// What was added to a total.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Growth {
    /// Values in ascending order, each standing for its bucket, and how often.
    Distribution(Vec<(f64, u64)>),
    /// A sum.
    Sum(f64),
    /// Money, in nano-USD.
    Money(i128),
    /// What was set last.
    Gauge(f64),
}

impl Growth {
    /// From `before`, if there was a total before, to `now`. `None` if nothing was added.
    pub(crate) fn between(before: Option<&Aggregate>, now: &Aggregate) -> Option<Self> {
        let grown = match now {
            Aggregate::Exponential(now) => Self::Distribution(match before {
                Some(Aggregate::Exponential(before)) => exponential(Some(before), now),
                _ => exponential(None, now),
            }),
            Aggregate::Classic(now) => Self::Distribution(match before {
                Some(Aggregate::Classic(before)) if before.bounds() == now.bounds() => {
                    classic(Some(before), now)
                }
                // The scope gave up exponential buckets meanwhile.
                Some(Aggregate::Exponential(before)) => {
                    let bounds = now.bounds().clone();
                    let before = ClassicHistogram::from_exponential(before, bounds);
                    classic(Some(&before), now)
                }
                _ => classic(None, now),
            }),
            Aggregate::Summary { sum, .. } | Aggregate::Sum(sum) => {
                Self::Sum(sum - before.map_or(0.0, Aggregate::sum))
            }
            Aggregate::Money(now) => Self::Money(match before {
                Some(Aggregate::Money(before)) => now.saturating_sub(*before),
                _ => *now,
            }),
            Aggregate::Level(level) => Self::Gauge(level.last),
        };
        let is_none = match &grown {
            Self::Distribution(values) => values.is_empty(),
            Self::Sum(sum) => *sum == 0.0,
            Self::Money(nano) => *nano == 0,
            Self::Gauge(_) => false,
        };
        (!is_none).then_some(grown)
    }
}

/// The value of each bucket is the one that is nearest to all in it, relatively: the one that
/// quantiles tell.
fn exponential(
    before: Option<&ExponentialHistogram>,
    now: &ExponentialHistogram,
) -> Vec<(f64, u64)> {
    let mut before = before.cloned();
    if let Some(before) = &mut before {
        // A total only ever becomes coarser.
        before.rescale(now.scale());
    }
    let mut values = Vec::new();
    let zeros = before.as_ref().map_or(0, ExponentialHistogram::zero_count);
    let zeros = now.zero_count().saturating_sub(zeros);
    if zeros > 0 {
        values.push((0.0, zeros));
    }
    let known = before.iter().flat_map(ExponentialHistogram::buckets);
    let mut known = known.peekable();
    for (index, count) in now.buckets() {
        let mut grown = count;
        while let Some(&(other, earlier)) = known.peek() {
            if other > index {
                break;
            }
            if other == index {
                grown = grown.saturating_sub(earlier);
            }
            known.next();
        }
        if grown > 0 {
            values.push((now.value_of(index), grown));
        }
    }
    values
}

/// The value of each bucket is in the middle; of the first and the last, the boundary.
fn classic(before: Option<&ClassicHistogram>, now: &ClassicHistogram) -> Vec<(f64, u64)> {
    let bounds = now.bounds();
    let value = |place: usize| {
        let low = place.checked_sub(1).and_then(|below| bounds.get(below));
        match (low, bounds.get(place)) {
            (Some(low), Some(high)) => low + (high - low) / 2.0,
            (None, Some(one)) | (Some(one), None) => *one,
            (None, None) => 0.0,
        }
    };
    let earlier = |place: usize| {
        let count = before.and_then(|before| before.counts().get(place));
        count.copied().unwrap_or(0)
    };
    let counts = now.counts().iter().enumerate();
    let grown = counts.map(|(place, count)| (value(place), count.saturating_sub(earlier(place))));
    grown.filter(|(_, grown)| *grown > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::level::Level;
    use proptest::prelude::*;

    fn histogram(scale: i8, values: &[f64]) -> ExponentialHistogram {
        let mut histogram = ExponentialHistogram::new(scale);
        values.iter().for_each(|value| histogram.record(*value));
        histogram
    }

    fn distribution(before: Option<&Aggregate>, now: &Aggregate) -> Vec<(f64, u64)> {
        match Growth::between(before, now) {
            None => Vec::new(),
            Some(Growth::Distribution(values)) => values,
            Some(other) => panic!("{other:?}"),
        }
    }

    proptest! {
        #[test]
        fn what_was_added_is_told_once_and_near_its_value(
            first in prop::collection::vec(0.0..1e6_f64, 0..50),
            second in prop::collection::vec(0.0..1e6_f64, 0..50),
            coarser in 0_i8..4,
        ) {
            let before = histogram(6, &first);
            let mut now = before.clone();
            now.merge(&histogram(6 - coarser, &second));
            let error = now.quantile_error_percent() / 100.0 + 1e-9;
            let (before, now) = (Aggregate::Exponential(before), Aggregate::Exponential(now));
            let told = distribution(Some(&before), &now);
            prop_assert!(told.windows(2).all(|pair| pair[0].0 < pair[1].0), "{told:?}");
            let told = told.into_iter().flat_map(|(v, n)| std::iter::repeat_n(v, n as usize));
            let told: Vec<f64> = told.collect();
            let mut exact = second.clone();
            exact.sort_by(f64::total_cmp);
            prop_assert_eq!(told.len(), exact.len());
            for (told, exact) in told.iter().zip(&exact) {
                prop_assert!((told - exact).abs() <= exact * error, "{told} for {exact}");
            }
        }
    }

    #[test]
    fn nothing_new_is_nothing() {
        for total in [
            Aggregate::Exponential(histogram(6, &[1.0, 0.0])),
            Aggregate::Money(5),
            Aggregate::Sum(2.5),
        ] {
            assert_eq!(Growth::between(Some(&total), &total), None);
        }
    }

    #[test]
    fn sums_and_money_grow_and_gauges_are() {
        let between = |before: &Aggregate, now| Growth::between(Some(before), &now);
        assert_eq!(
            between(&Aggregate::Money(5), Aggregate::Money(12)),
            Some(Growth::Money(7))
        );
        assert_eq!(
            between(&Aggregate::Sum(1.5), Aggregate::Sum(4.0)),
            Some(Growth::Sum(2.5))
        );
        let gauge = Aggregate::Level(Level::of(3.0));
        assert_eq!(between(&gauge, gauge.clone()), Some(Growth::Gauge(3.0)));
    }

    #[test]
    fn classic_buckets_are_told_by_their_middle() {
        let bounds: std::sync::Arc<[f64]> = [1.0, 3.0].into();
        let of = |values: &[f64]| {
            let exponential = histogram(6, values);
            ClassicHistogram::from_exponential(&exponential, bounds.clone())
        };
        let before = Aggregate::Classic(of(&[0.5]));
        let now = Aggregate::Classic(of(&[0.5, 0.5, 2.0, 2.0, 9.0]));
        let expected = vec![(1.0, 1), (2.0, 2), (3.0, 1)];
        assert_eq!(distribution(Some(&before), &now), expected);
        let before = Aggregate::Exponential(histogram(6, &[0.5]));
        assert_eq!(distribution(Some(&before), &now), expected);
    }
}
