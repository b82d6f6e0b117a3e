//! Trends of generated series.

use proptest::prelude::*;
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::*;

/// A point a minute.
fn series(values: impl IntoIterator<Item = f64>) -> Vec<Point> {
    let values = values.into_iter().enumerate();
    let point = |(n, value)| Point {
        at: 60.0 * n as f64,
        value,
    };
    values.map(point).collect()
}

fn direction(values: impl IntoIterator<Item = f64>) -> PressureTrend {
    trend(&series(values), 1.0).direction
}

/// Uniform noise around zero, the same in each run.
fn noise(seed: u64, width: f64) -> impl FnMut() -> f64 {
    let mut random = StdRng::seed_from_u64(seed);
    move || random.random_range(-width..width)
}

#[test]
fn the_slope_is_that_of_a_line() {
    let line = series((0..24).map(|n| 40.0 + 0.5 * f64::from(n)));
    let found = trend(&line, 1.0);
    assert!((found.slope.unwrap() - 0.5 / 60.0).abs() < 1e-12);
    assert_eq!(found.direction, PressureTrend::Increasing);
    let down = trend(&series((0..24).map(|n| 40.0 - 0.5 * f64::from(n))), 1.0);
    assert_eq!(down.direction, PressureTrend::Decreasing);
}

/// The example in Sen's paper has no data of its own; this is a small one worked by hand: of the
/// 28 slopes of eight points the median is the mean of the 14th and the 15th.
#[test]
fn the_slope_is_the_median_of_all_slopes() {
    let points = series([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 1_000.0]);
    let mut all = slopes(&points);
    all.sort_unstable_by(f64::total_cmp);
    assert_eq!(all.len(), 28);
    assert_eq!(trend(&points, 1.0).slope, Some(1.0 / 60.0));
    let even = median(vec![1.0, 2.0, 4.0, 100.0]);
    assert_eq!(even, Some(3.0));
}

#[test]
fn noise_is_stable() {
    let mut risen = 0;
    for seed in 0..200 {
        let mut noise = noise(seed, 5.0);
        let found = direction((0..24).map(|_| 50.0 + noise()));
        risen += u32::from(found != PressureTrend::Stable);
    }
    // One in twenty is what the test allows; of these, most change by a point.
    assert!(risen <= 20, "{risen} of 200");
}

#[test]
fn a_leak_in_noise_is_found() {
    for seed in 0..100 {
        let mut noise = noise(seed, 2.0);
        let leak = direction((0..24).map(|n| 50.0 + 0.4 * f64::from(n) + noise()));
        assert_eq!(leak, PressureTrend::Increasing, "seed {seed}");
    }
}

#[test]
fn a_leak_too_slow_to_matter_is_stable() {
    let slow = |n: u32| 50.0 + 0.9 * f64::from(n) / 23.0;
    assert_eq!(direction((0..24).map(slow)), PressureTrend::Stable);
    let just = |n: u32| 50.0 + 1.001 * f64::from(n) / 23.0;
    assert_eq!(direction((0..24).map(just)), PressureTrend::Increasing);
}

#[test]
fn outliers_do_not_make_a_trend_or_hide_one() {
    let flat = |n: u32| if n >= 20 { 95.0 } else { 50.0 };
    let found = trend(&series((0..24).map(flat)), 1.0);
    assert_eq!(
        (found.slope, found.direction),
        (Some(0.0), PressureTrend::Stable)
    );
    let leak = |n: u32| {
        if n % 5 == 3 {
            5.0
        } else {
            50.0 + 0.5 * f64::from(n)
        }
    };
    assert_eq!(direction((0..24).map(leak)), PressureTrend::Increasing);
}

#[test]
fn a_step_in_the_middle_has_risen() {
    let step = |n: u32| if n < 12 { 30.0 } else { 60.0 };
    assert_eq!(direction((0..24).map(step)), PressureTrend::Increasing);
}

#[test]
fn few_points_tell_nothing() {
    let steep = |n: u32| 10.0 * f64::from(n);
    assert_eq!(trend(&[], 1.0), Trend::default());
    let few = trend(&series((0..7).map(steep)), 1.0);
    assert_eq!(few, Trend::default());
    assert_eq!(direction((0..8).map(steep)), PressureTrend::Increasing);
    let at_once = [Point {
        at: 5.0,
        value: 1.0,
    }; 20];
    assert_eq!(trend(&at_once, 1.0), Trend::default());
}

/// The variance without ties is n(n−1)(2n+5)/18: 8 points in order have a score of 28, and
/// (28 − 1)/√65.33 = 3.34; with seven of the pairs the other way it is (14 − 1)/8.08 = 1.61.
#[test]
fn the_test_is_that_of_mann_and_kendall() {
    assert!(is_significant(&series((0..8).map(f64::from))));
    let mixed = [2.0, 1.0, 4.0, 3.0, 7.0, 5.0, 0.0, 6.0];
    let score: i32 = pairs(&series(mixed))
        .map(|(a, b)| if b.value > a.value { 1 } else { -1 })
        .sum();
    assert_eq!(score, 8);
    assert!(!is_significant(&series(mixed)));
    assert!(!is_significant(&series([4.0; 20])));
}

fn any_series() -> impl Strategy<Value = Vec<Point>> {
    let value = prop_oneof![
        8 => 0.0..100.0_f64,
        1 => any::<f64>(),
        1 => Just(f64::NAN),
    ];
    prop::collection::vec((0.001..10_000.0_f64, value), 0..150).prop_map(|steps| {
        let mut at = 0.0;
        let point = |(time, value)| {
            at += time;
            Point { at, value }
        };
        steps.into_iter().map(point).collect()
    })
}

fn sane_series() -> impl Strategy<Value = Vec<Point>> {
    prop::collection::vec((0.1..1_000.0_f64, 0.0..100.0_f64), 8..60).prop_map(|steps| {
        let mut at = 0.0;
        let point = |(time, value)| {
            at += time;
            Point { at, value }
        };
        steps.into_iter().map(point).collect()
    })
}

proptest! {
    #[test]
    fn whatever_comes_it_ends_with_a_number_or_none(points in any_series()) {
        let found = trend(&points, 1.0);
        prop_assert!(found.slope.is_none_or(f64::is_finite));
        let up = found.slope.is_some_and(|slope| slope > 0.0);
        prop_assert!(found.direction != PressureTrend::Increasing || up);
    }

    #[test]
    fn upside_down_it_goes_the_other_way(points in sane_series()) {
        let mirrored: Vec<Point> = points.iter().map(|p| Point { value: 100.0 - p.value, ..*p }).collect();
        let (up, down) = (trend(&points, 1.0), trend(&mirrored, 1.0));
        let close = (up.slope.unwrap() + down.slope.unwrap()).abs() < 1e-9;
        prop_assert!(close);
        let opposite = match up.direction {
            PressureTrend::Increasing => PressureTrend::Decreasing,
            PressureTrend::Decreasing => PressureTrend::Increasing,
            PressureTrend::Stable => PressureTrend::Stable,
        };
        prop_assert_eq!(down.direction, opposite);
    }

    #[test]
    fn it_does_not_matter_when_it_was_or_how_high(
        points in sane_series(), later in 0.0..1e6_f64, higher in 0.0..1e3_f64,
    ) {
        let moved: Vec<Point> = points.iter()
            .map(|p| Point { at: p.at + later, value: p.value + higher })
            .collect();
        let (here, there) = (trend(&points, 1.0), trend(&moved, 1.0));
        prop_assert!((here.slope.unwrap() - there.slope.unwrap()).abs() < 1e-6);
    }
}
