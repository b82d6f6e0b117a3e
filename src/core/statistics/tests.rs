//! Against published values, and on samples whose distribution is known.

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::*;

fn of(successes: u64, total: u64) -> Trials {
    Trials { successes, total }
}

fn assert_close(found: f64, expected: f64, relative: f64) {
    let off = (found - expected).abs();
    assert!(off <= expected.abs() * relative, "{found} for {expected}");
}

#[test]
fn fishers_exact_test_has_the_values_of_the_tables() {
    // Fisher's lady who tastes tea; and tables whose probabilities were summed as fractions.
    for (a, b, p) in [
        (of(3, 4), of(1, 4), 0.485_714_285_714_285_7),
        (of(1, 10), of(11, 14), 0.002_759_456_185_220_083_5),
        (of(20, 20), of(15, 20), 0.047_124_047_124_047_12),
        (of(190, 200), of(1_000, 1_002), 6.484_500_894_842_888e-7),
        (of(5, 5), of(5, 5), 1.0),
    ] {
        for (a, b) in [(a, b), (b, a)] {
            assert_close(fisher_exact(a, b), p, 1e-12);
            let turned = |t: Trials| of(t.total - t.successes, t.total);
            assert_close(fisher_exact(turned(a), turned(b)), p, 1e-12);
        }
    }
}

#[test]
fn few_are_compared_exactly_and_many_by_the_normal_distribution() {
    let (test, _) = compare_shares(of(19, 20), of(18, 20)).unwrap();
    assert_eq!(test, ShareTest::FisherExact);
    let (test, p) = compare_shares(of(56, 70), of(48, 80)).unwrap();
    assert_eq!(test, ShareTest::TwoProportionZ);
    // z = 2.6502, by hand.
    assert_close(p, 0.008_045_081_368_196_59, 1e-10);
    assert_eq!(compare_shares(of(0, 0), of(1, 2)), None);
    // Rare failures of very many are no work either.
    let (test, p) =
        compare_shares(of(999_999_997, 1_000_000_000), of(5_000_000, 5_000_000)).unwrap();
    assert_eq!((test, p), (ShareTest::FisherExact, 1.0));
}

#[test]
fn the_interval_of_a_difference_is_that_of_newcombes_table() {
    // Newcombe 1998, table II, method 10; there the difference is the first less the second.
    for (first, second, low, high) in [
        (of(56, 70), of(48, 80), 0.0524, 0.3339),
        (of(9, 10), of(3, 10), 0.1705, 0.8090),
        (of(6, 7), of(2, 7), 0.0582, 0.8062),
        (of(5, 56), of(0, 29), -0.0381, 0.1926),
        (of(0, 10), of(0, 20), -0.1611, 0.2775),
        (of(10, 10), of(0, 10), 0.6075, 1.0000),
    ] {
        let (found_low, found_high) = difference_interval(second, first).unwrap();
        assert!((found_low - low).abs() < 6e-5, "{found_low} for {low}");
        assert!((found_high - high).abs() < 6e-5, "{found_high} for {high}");
    }
}

/// How many of each there are of each value, in order.
fn classes(a: &[f64], b: &[f64]) -> Vec<(u64, u64)> {
    // None here has more than two digits.
    let class = |value: &f64| (value * 100.0).round() as i64;
    let mut classes: BTreeMap<i64, (u64, u64)> = BTreeMap::new();
    for value in a {
        classes.entry(class(value)).or_default().0 += 1;
    }
    for value in b {
        classes.entry(class(value)).or_default().1 += 1;
    }
    classes.into_values().collect()
}

#[test]
fn mann_and_whitneys_test_has_the_values_of_the_textbook() {
    // Hollander & Wolfe, table 4.1: the permeability of two membranes. W = 35 for the first, so 15
    // for the second.
    let first = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46];
    let second = [1.15, 0.88, 0.90, 0.74, 1.21];
    let found = mann_whitney(&classes(&first, &second)).unwrap();
    assert_eq!(found.u, 15.0);
    assert_close(found.superiority, 0.3, 1e-12);
    assert_close(found.p, 0.244_623_605_126_983_33, 1e-10);
    // With ties, by hand: U = 58, z = 2.1066.
    let first = [1.0, 2.0, 2.0, 3.0, 3.0, 3.0, 4.0, 5.0];
    let second = [2.0, 3.0, 4.0, 4.0, 5.0, 5.0, 5.0, 6.0, 6.0];
    let found = mann_whitney(&classes(&first, &second)).unwrap();
    assert_eq!(found.u, 58.0);
    assert_close(found.p, 0.035_151_334_436_585_54, 1e-10);
    // All alike: nothing to be seen.
    let found = mann_whitney(&[(50, 40)]).unwrap();
    assert_eq!((found.superiority, found.p), (0.5, 1.0));
    assert_eq!(mann_whitney(&[(0, 3)]), None);
    assert_eq!(mann_whitney(&[]), None);
}

#[test]
fn holms_values_are_those_of_the_procedure() {
    let adjusted = holm(&[0.01, 0.04, 0.03, 0.005]);
    for (found, expected) in adjusted.iter().zip([0.03, 0.06, 0.06, 0.02]) {
        assert_close(*found, expected, 1e-12);
    }
    assert_eq!(holm(&[0.4]), [0.4]);
    assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
    assert_eq!(holm(&[]), Vec::<f64>::new());
}

#[test]
fn the_error_function_is_exact_to_ten_digits() {
    for (x, expected) in [
        (0.0, 1.0),
        (0.1, 0.887_537_083_981_715_2),
        (1.0, 0.157_299_207_050_285_13),
        (2.49, 0.000_429_287_867_733_913),
        (2.5, 0.000_406_952_017_444_958_9),
        (3.0, 2.209_049_699_858_543_8e-5),
        (5.0, 1.537_459_794_428_035_1e-12),
        (10.0, 2.088_487_583_762_545e-45),
    ] {
        assert_close(erfc(x), expected, 1e-10);
    }
    assert_eq!(erfc(f64::INFINITY), 0.0);
}

/// How many of so many pairs of samples `found` calls different at 5 %.
fn share_found(mut found: impl FnMut(&mut StdRng) -> f64) -> f64 {
    let mut random = StdRng::seed_from_u64(20_251_124);
    let many = 2_000;
    let below = (0..many).filter(|_| found(&mut random) < 0.05).count();
    below as f64 / f64::from(many)
}

fn trials(random: &mut StdRng, total: u64, share: f64) -> Trials {
    let successes = (0..total).filter(|_| random.random_bool(share)).count() as u64;
    of(successes, total)
}

#[test]
fn equal_shares_are_called_different_as_often_as_the_level_says() {
    let share = share_found(|random| {
        let (a, b) = (trials(random, 200, 0.8), trials(random, 200, 0.8));
        compare_shares(a, b).unwrap().1
    });
    assert!((0.035..=0.065).contains(&share), "{share}");
    // The exact test never exceeds the level.
    let share = share_found(|random| {
        let (a, b) = (trials(random, 60, 0.96), trials(random, 60, 0.96));
        compare_shares(a, b).unwrap().1
    });
    assert!(share <= 0.05, "{share}");
    let found = share_found(|random| {
        let (a, b) = (trials(random, 200, 0.9), trials(random, 200, 0.75));
        compare_shares(a, b).unwrap().1
    });
    assert!(found > 0.9, "a clear difference is seen: {found}");
}

/// Durations as they are: many short ones, some long, in buckets a tenth wide.
fn durations(random: &mut StdRng, count: usize, factor: f64) -> Vec<f64> {
    let normal =
        |random: &mut StdRng| -> f64 { (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0 };
    let mut one = || (factor.ln() + 0.6 * normal(random)) * 10.0;
    (0..count).map(|_| one().round()).collect()
}

#[test]
fn equal_durations_are_called_different_as_often_as_the_level_says() {
    let share = share_found(|random| {
        let (a, b) = (durations(random, 60, 1.0), durations(random, 40, 1.0));
        mann_whitney(&classes(&a, &b)).unwrap().p
    });
    assert!((0.035..=0.065).contains(&share), "{share}");
    let found = share_found(|random| {
        let (a, b) = (durations(random, 60, 1.0), durations(random, 60, 1.5));
        mann_whitney(&classes(&a, &b)).unwrap().p
    });
    assert!(found > 0.9, "a clear difference is seen: {found}");
}
