//! Variants side by side.

use std::time::Duration;

use super::*;
use crate::core::classic::ClassicHistogram;
use crate::core::series::Value;
use crate::core::testing::{Bench, key};
use crate::core::views::comparison::SignificanceTest;
use crate::names::*;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// `count` tries of a variant of the experiment `prompt`, which took from `seconds` to twice as
/// long, of which every `fails`th failed at once.
fn tries(bench: &mut Bench, variant: &'static str, count: u32, seconds: f64, fails: Option<u32>) {
    for n in 1..=count {
        let labels = [(EXPERIMENT, "prompt"), (VARIANT, variant)];
        if fails.is_some_and(|fails| n % fails == 0) {
            let [experiment, variant] = labels;
            let error = (ERROR_TYPE, "timeout");
            bench.record(
                key(EXPERIMENT_DURATION, [experiment, variant, error]),
                0.001,
            );
        } else {
            let took = seconds * (1.0 + f64::from(n) / f64::from(count));
            bench.record(key(EXPERIMENT_DURATION, labels), took);
        }
    }
}

fn view(bench: &mut Bench) -> ExperimentPerformance {
    bench.collect_after(MINUTE);
    let view = experiments(&bench.snapshot(), Window::Last(MINUTE), Some("prompt")).unwrap();
    assert_eq!(
        (view.experiments_count, view.alpha, view.minimum_samples),
        (1, 0.05, 20)
    );
    view.experiments["prompt"].clone()
}

#[test]
fn variants_stand_side_by_side_with_what_differs() {
    let mut bench = Bench::new(DAY);
    tries(&mut bench, "control", 400, 1.0, Some(4));
    tries(&mut bench, "short", 400, 0.8, Some(10));
    tries(&mut bench, "same", 400, 1.0, Some(4));
    let prompt = view(&mut bench);
    assert_eq!(prompt.control, "control");
    assert_eq!(prompt.variants.len(), 3);
    let control = &prompt.variants["control"];
    assert_eq!(control.stats.total_operations, 400);
    assert_eq!(control.stats.success_rate_percent, Some(75.0));
    assert_eq!(control.error_type_counts["timeout"], 100);
    let [same, short] = &prompt.comparisons[..] else {
        panic!("{:?}", prompt.comparisons);
    };
    assert_eq!((&*same.variant, &*same.control), ("same", "control"));
    assert_eq!(same.success_rate.difference_percentage_points, Some(0.0));
    assert_eq!(same.success_rate.significance.significant, Some(false));
    assert_eq!(same.duration.difference_p50_ms, Some(0.0));
    assert_eq!(same.duration.probability_slower, Some(0.5));
    assert_eq!(same.duration.significance.significant, Some(false));

    let rates = short.success_rate;
    assert_eq!(
        rates.significance.test,
        Some(SignificanceTest::TwoProportionZ)
    );
    assert_eq!(rates.difference_percentage_points, Some(15.0));
    assert!(rates.difference_low.unwrap() > 9.0 && rates.difference_high.unwrap() < 21.0);
    assert_eq!(rates.significance.significant, Some(true));
    let durations = short.duration;
    assert_eq!(
        durations.significance.test,
        Some(SignificanceTest::MannWhitneyU)
    );
    // Its successes are faster by a fifth, whatever its failures took.
    let difference = durations.difference_p50_ms.unwrap();
    assert!((-330.0..-270.0).contains(&difference), "{difference}");
    assert!(durations.probability_slower.unwrap() < 0.3);
    assert_eq!(durations.significance.significant, Some(true));
}

#[test]
fn more_variants_need_more_evidence() {
    let differs = |others: &[&'static str]| {
        let mut bench = Bench::new(DAY);
        tries(&mut bench, "control", 200, 1.0, Some(4));
        tries(&mut bench, "better", 200, 1.0, Some(6));
        for other in others {
            tries(&mut bench, other, 200, 1.0, Some(4));
        }
        let prompt = view(&mut bench);
        let better = prompt.comparisons.iter().find(|c| c.variant == "better");
        better.unwrap().success_rate.significance
    };
    let alone = differs(&[]);
    assert_eq!(alone.significant, Some(true));
    assert_eq!(alone.adjusted_p_value, alone.p_value);
    let among_others = differs(&["c", "d"]);
    assert_eq!(among_others.p_value, alone.p_value);
    assert!((among_others.adjusted_p_value.unwrap() - 3.0 * alone.p_value.unwrap()).abs() < 1e-12);
    assert_eq!(among_others.significant, Some(false));
}

#[test]
fn of_too_few_nothing_is_said() {
    let mut bench = Bench::new(DAY);
    tries(&mut bench, "A", 100, 1.0, None);
    tries(&mut bench, "B", 19, 9.0, Some(2));
    let prompt = view(&mut bench);
    assert_eq!(prompt.control, "A");
    let [comparison] = &prompt.comparisons[..] else {
        panic!("{:?}", prompt.comparisons);
    };
    let nothing = Default::default();
    assert_eq!(comparison.success_rate.significance, nothing);
    assert_eq!(comparison.duration.significance, nothing);
    assert!(
        comparison
            .success_rate
            .difference_percentage_points
            .unwrap()
            < -40.0
    );
    // Twenty tries, but only ten of them tell how long a success takes.
    tries(&mut bench, "A", 100, 1.0, None);
    tries(&mut bench, "B", 20, 9.0, Some(2));
    let prompt = view(&mut bench);
    let rates = prompt.comparisons[0].success_rate.significance;
    assert_eq!(rates.test, Some(SignificanceTest::FisherExact));
    assert_eq!(rates.significant, Some(true));
    assert_eq!(prompt.comparisons[0].duration.significance, nothing);
}

#[test]
fn the_control_is_the_one_of_that_name_or_the_first() {
    for (variants, control) in [
        (["Control", "a", "b"], "Control"),
        (["b", "baseline", "a"], "baseline"),
        (["B", "A", "0"], "A"),
        (["y", "x", "z"], "x"),
    ] {
        let mut bench = Bench::new(DAY);
        for variant in variants {
            tries(&mut bench, variant, 5, 1.0, None);
        }
        assert_eq!(view(&mut bench).control, control);
    }
}

#[test]
fn an_experiment_that_was_never_seen_is_the_callers_error() {
    let mut bench = Bench::new(DAY);
    tries(&mut bench, "a", 5, 1.0, None);
    bench.collect_after(MINUTE);
    let snapshot = bench.snapshot();
    let unknown = experiments(&snapshot, Window::SinceStart, Some("other"));
    assert_eq!(unknown, Err(ViewError::UnknownExperiment));
    bench.collect_after(MINUTE * 10);
    // Known, if only from before the window.
    let snapshot = bench.snapshot();
    let idle = experiments(&snapshot, Window::Last(MINUTE), Some("prompt")).unwrap();
    assert_eq!(idle.experiments_count, 0);
}

#[test]
fn classic_histograms_are_compared_in_the_buckets_that_both_have() {
    let classic = |bounds: &[f64], counts: &[u64]| {
        let (bounds, counts) = (bounds.into(), counts.iter().copied());
        Value::Classic(ClassicHistogram::from_parts(
            bounds, counts, 1.0, None, None,
        ))
    };
    let of = |variant| {
        key(
            EXPERIMENT_DURATION,
            [(EXPERIMENT, "prompt"), (VARIANT, variant)],
        )
    };
    let mut bench = Bench::new(DAY);
    bench.set(of("a"), classic(&[1.0, 2.0, 4.0], &[10, 20, 30, 0]));
    bench.set(of("b"), classic(&[2.0, 3.0], &[30, 20, 10]));
    let durations = view(&mut bench).comparisons[0].duration;
    // Up to 2 s and above: 30 and 30 of either.
    assert_eq!(durations.probability_slower, Some(0.5));
    assert_eq!(durations.significance.significant, Some(false));

    let mut bench = Bench::new(DAY);
    bench.set(of("a"), classic(&[1.0], &[100, 0]));
    tries(&mut bench, "b", 100, 1.5, None);
    let durations = view(&mut bench).comparisons[0].duration;
    assert_eq!(durations.probability_slower, Some(1.0));
    assert_eq!(durations.significance.significant, Some(true));
}
