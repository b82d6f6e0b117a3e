//! What is promised of exponential histograms, on any data.

use proptest::prelude::*;

use super::*;
use crate::core::classic::ClassicHistogram;

const QUANTILES: [f64; 8] = [0.0, 0.01, 0.25, 0.5, 0.95, 0.99, 0.999, 1.0];

/// Latencies over ten decades, with zeros and with values on a bucket's boundary.
fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => (-20.0..14.0_f64).prop_map(f64::exp2),
        1 => (-20..14_i32).prop_map(|power| f64::from(power).exp2()),
        1 => Just(0.0),
        1 => Just(30.0),
    ]
}

fn values() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(value(), 1..300)
}

/// Values so far apart that a merged histogram has to give up scales.
fn wide_values() -> impl Strategy<Value = Vec<f64>> {
    let value = prop_oneof![(-1000.0..1000.0_f64).prop_map(f64::exp2), value()];
    prop::collection::vec(value, 0..50)
}

fn filled(scale: i8, values: &[f64]) -> ExponentialHistogram {
    let mut histogram = ExponentialHistogram::new(scale);
    values.iter().for_each(|value| histogram.record(*value));
    histogram
}

/// The definition: the value of rank `⌈q·n⌉`.
fn exact(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (q * sorted.len() as f64).ceil().max(1.0) as usize;
    sorted[rank - 1]
}

fn assert_quantiles_within_the_bound(histogram: &ExponentialHistogram, values: &[f64]) {
    let bound = histogram.quantile_error_percent() / 100.0;
    for q in QUANTILES {
        let estimate = histogram.quantile(q).unwrap();
        let exact = exact(values, q);
        // The bound itself, and the last bits of the arithmetic.
        let off = (estimate - exact).abs();
        assert!(
            off <= exact * (bound + 1e-12),
            "q {q}: {estimate} for {exact}"
        );
    }
}

/// Counts and scale; not the sum, whose last bits depend on the order.
fn counts(histogram: &ExponentialHistogram) -> (i8, u64, u64, Vec<(i32, u64)>) {
    let buckets = histogram.buckets().collect();
    (
        histogram.scale(),
        histogram.count(),
        histogram.zero_count(),
        buckets,
    )
}

fn merged(histograms: &[&ExponentialHistogram]) -> ExponentialHistogram {
    let mut all = ExponentialHistogram::default();
    histograms.iter().for_each(|histogram| all.merge(histogram));
    all
}

proptest! {
    #[test]
    fn a_quantile_is_within_the_bound_of_the_exact_one(
        parts in prop::collection::vec((values(), -2..=6_i8), 1..5),
        coarser in -3..=6_i8,
    ) {
        let all: Vec<f64> = parts.iter().flat_map(|(values, _)| values.clone()).collect();
        let histograms: Vec<_> = parts.iter().map(|(part, scale)| filled(*scale, part)).collect();
        let mut histogram = merged(&histograms.iter().collect::<Vec<_>>());
        prop_assert_eq!(histogram.scale(), parts.iter().map(|part| part.1).min().unwrap());
        assert_quantiles_within_the_bound(&histogram, &all);
        histogram.rescale(coarser);
        assert_quantiles_within_the_bound(&histogram, &all);
    }

    #[test]
    fn counts_do_not_depend_on_the_order_of_merging(
        parts in prop::array::uniform3((wide_values(), -2..=6_i8)),
    ) {
        let [a, b, c] = parts.map(|(values, scale)| filled(scale, &values));
        let left = merged(&[&merged(&[&a, &b]), &c]);
        let right = merged(&[&a, &merged(&[&b, &c])]);
        prop_assert_eq!(counts(&left), counts(&right));
        prop_assert_eq!(counts(&left), counts(&merged(&[&c, &a, &b])));
        prop_assert_eq!(left.count(), a.count() + b.count() + c.count());
        let total = left.zero_count() + left.buckets().map(|(_, count)| count).sum::<u64>();
        prop_assert_eq!(left.count(), total);
    }

    #[test]
    fn a_merged_histogram_is_that_of_all_values(
        parts in prop::array::uniform2(wide_values()), scale in -2..=6_i8,
    ) {
        let all = parts.concat();
        let apart = parts.map(|values| filled(scale, &values));
        prop_assert_eq!(counts(&merged(&[&apart[0], &apart[1]])), counts(&filled(scale, &all)));
    }

    #[test]
    fn a_classic_bucket_is_off_by_no_more_than_the_straddling_fine_one(
        values in values(), scale in 0..=6_i8,
        boundaries in prop::collection::btree_set(1..20_000_u32, 1..20),
    ) {
        let histogram = filled(scale, &values);
        let mut boundaries: Vec<f64> = boundaries.into_iter().map(|b| f64::from(b) / 100.0).collect();
        // Where a mistake shows: at values themselves, and right beside them.
        boundaries.extend(values.iter().flat_map(|value| [*value, value * 1.001]));
        boundaries.sort_by(f64::total_cmp);
        boundaries.dedup();
        let cumulative = histogram.cumulative(&boundaries);
        for (boundary, at_most) in boundaries.iter().zip(&cumulative) {
            let exact = values.iter().filter(|value| *value <= boundary).count() as u64;
            let straddling = histogram.buckets().find(|(index, _)| {
                let (low, high) = (lower_bound(*index, scale), lower_bound(index + 1, scale));
                low < *boundary && *boundary < high
            });
            let slack = straddling.map_or(0, |(_, count)| count);
            prop_assert!((exact..=exact + slack).contains(at_most), "{exact} {at_most} {slack}");
        }
        let bounds: std::sync::Arc<[f64]> = boundaries.into();
        let classic = ClassicHistogram::from_exponential(&histogram, bounds);
        prop_assert_eq!(classic.count(), histogram.count());
    }

    #[test]
    fn classic_buckets_of_a_growing_histogram_never_shrink(
        parts in prop::collection::vec((wide_values(), 0..=6_i8), 1..6),
    ) {
        let boundaries: Vec<f64> = (0..17).map(|n| 0.01 * f64::from(n).exp2()).collect();
        let mut histogram = ExponentialHistogram::default();
        let mut before = vec![0; boundaries.len()];
        for (values, scale) in parts {
            histogram.merge(&filled(scale, &values));
            let now = histogram.cumulative(&boundaries);
            prop_assert!(before.iter().zip(&now).all(|(before, now)| before <= now));
            prop_assert!(now.is_sorted());
            before = now;
        }
    }

    #[test]
    fn a_recorded_value_is_in_its_bucket(value in value(), scale in -4..=20_i8) {
        prop_assume!(value > 0.0);
        let index = bucket_of(value, scale);
        prop_assert!(lower_bound(index, scale) < value);
        prop_assert!(value <= lower_bound(index + 1, scale));
    }
}

#[test]
fn at_scale_six_the_error_is_half_a_percent() {
    let error = ExponentialHistogram::new(6).quantile_error_percent();
    assert!((error - 0.5415).abs() < 1e-4, "{error}");
    // The bound that the definition gives.
    let base = (2.0_f64).powf(1.0 / 8.0);
    let expected = (base - 1.0) / (base + 1.0) * 100.0;
    assert!((ExponentialHistogram::new(3).quantile_error_percent() - expected).abs() < 1e-12);
}

#[test]
fn an_empty_histogram_has_no_quantiles_and_changes_nothing() {
    let empty = ExponentialHistogram::default();
    assert_eq!(empty.quantile(0.5), None);
    assert_eq!(empty.cumulative(&[1.0]), [0]);
    let histogram = filled(6, &[1.0, 2.0]);
    assert_eq!(merged(&[&empty, &histogram, &empty]), histogram);
}

#[test]
fn the_scale_is_the_coarsest_of_all_that_was_merged() {
    let (fine, zeros) = (filled(6, &[1.0, 2.0]), filled(3, &[0.0]));
    assert_eq!(merged(&[&fine, &zeros]).scale(), 3);
    assert_eq!(merged(&[&zeros, &fine]).scale(), 3);
}

#[test]
fn the_bucket_of_zeros_is_at_zero_also_where_the_extremes_are_not_known() {
    let histogram = ExponentialHistogram::from_parts(6, 2, 0, [1], 1.0, None, None);
    assert_eq!(histogram.quantile(0.0), Some(0.0));
    assert_eq!(histogram.quantile(0.5), Some(0.0));
    assert!(histogram.quantile(1.0).is_some_and(|value| value > 1.0));
}

#[test]
fn what_is_not_a_duration_is_left_out() {
    let histogram = filled(6, &[-1.0, f64::NAN, f64::INFINITY]);
    assert_eq!(histogram, ExponentialHistogram::new(6));
}

#[test]
fn parts_of_an_sdk_may_have_empty_buckets_at_both_ends() {
    let counts = [0, 0, 2, 0, 1, 0];
    let histogram = ExponentialHistogram::from_parts(6, 1, -3, counts, 3.0, Some(0.0), None);
    assert_eq!(histogram.buckets().collect::<Vec<_>>(), [(-1, 2), (1, 1)]);
    assert_eq!((histogram.count(), histogram.dense().1.len()), (4, 3));
    let nothing = ExponentialHistogram::from_parts(6, 0, 9, [0; 160], f64::NAN, None, None);
    assert_eq!(nothing, ExponentialHistogram::new(6));
}

#[test]
fn the_first_and_the_last_rank_are_exact_and_a_known_rank_is_not_missed() {
    let histogram = filled(0, &[1.1, 5.0, 5.0, 1000.0]);
    assert_eq!(histogram.quantile(0.0), Some(1.1));
    assert_eq!(histogram.quantile(1.0), Some(1000.0));
    // 0.07 · 100 is a little more than 7 in floating point.
    assert_eq!(nearest_rank(0.07, 100), Some(7));
    assert_eq!(nearest_rank(0.071, 100), Some(8));
    assert_eq!(nearest_rank(0.95, 20), Some(19));
}

#[test]
fn counts_stop_at_the_largest_number() {
    let mut histogram = ExponentialHistogram::from_parts(6, 0, 0, [u64::MAX], 1.0, None, None);
    histogram.record(1.01);
    assert_eq!(histogram.count(), u64::MAX);
}
