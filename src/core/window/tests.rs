//! What is promised of windows, on random collections.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::core::histogram::ExponentialHistogram;
use crate::core::series::{SeriesKey, Value};
use crate::core::slot::SeriesId;
use crate::core::testing::{Bench, START, key};
use crate::names::*;

const HOUR: Duration = Duration::from_secs(3600);

/// Time passes, then these series do something.
type Step = (Duration, Vec<(usize, f64)>);

/// Some seconds, or many minutes, now and then fractions of a second.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let time = prop_oneof![
        6 => (1_000..30_000_u64).prop_map(Duration::from_millis),
        2 => (1..400_u64).prop_map(Duration::from_millis),
        2 => (30..4_000_u64).prop_map(Duration::from_secs),
    ];
    let records = prop::collection::vec((0..7_usize, 0.0..40.0_f64), 0..12);
    prop::collection::vec((time, records), 1..120)
}

fn series(n: usize) -> SeriesKey {
    let provider = (GEN_AI_PROVIDER_NAME, "p");
    match n {
        0 => key(COST, [provider]),
        1 => key(CACHE_RESULTS, [(CACHE_RESULT, CACHE_HIT)]),
        2 => key(
            GEN_AI_TOKEN_USAGE,
            [provider, (GEN_AI_TOKEN_TYPE, TOKEN_INPUT)],
        ),
        3 => key(
            GEN_AI_OPERATION_DURATION,
            [provider, (ERROR_TYPE, "timeout")],
        ),
        6 => key(PROCESS_MEMORY_PRESSURE, []),
        _ => key(
            GEN_AI_OPERATION_DURATION,
            [provider, (GEN_AI_REQUEST_MODEL, &n.to_string())],
        ),
    }
}

fn play(bench: &mut Bench, steps: &[Step], mut each: impl FnMut(&Bench)) {
    for (time, records) in steps {
        for (n, value) in records {
            match n {
                0 => bench.add(series(*n), *value),
                1 => bench.add(series(*n), value.floor()),
                6 => bench.set(series(*n), Value::Gauge(*value)),
                _ => bench.record(series(*n), *value),
            }
        }
        bench.collect_after(*time);
        each(bench);
    }
}

fn merged(slots: &[Arc<Slot>]) -> BTreeMap<SeriesId, Aggregate> {
    let mut all = BTreeMap::new();
    for (id, packed) in slots.iter().flat_map(|slot| slot.entries()) {
        match all.get_mut(&id) {
            Some(sum) => packed.merge_into(sum),
            None => {
                all.insert(id, packed.unpack());
            }
        }
    }
    all
}

/// Counts and whole numbers have to be the same; sums of fractions but for their last bits; and
/// buckets as far as `a` still has them.
fn assert_same(a: &Aggregate, b: &Aggregate) {
    let close = (a.sum() - b.sum()).abs() <= 1e-9 * a.sum().abs();
    assert!(close, "{a:?} {b:?}");
    match (a, b) {
        (Aggregate::Exponential(a), Aggregate::Exponential(b)) => {
            let mut b = b.clone();
            b.rescale(a.scale());
            assert_eq!(a.scale(), b.scale());
            assert_eq!(a.dense(), b.dense());
            assert_eq!((a.count(), a.zero_count()), (b.count(), b.zero_count()));
            assert_eq!((a.min(), a.max()), (b.min(), b.max()));
        }
        (Aggregate::Level(a), Aggregate::Level(b)) => {
            assert_eq!(
                (a.count, a.min, a.max, a.last),
                (b.count, b.min, b.max, b.last)
            );
        }
        (Aggregate::Summary { .. }, _) => assert_eq!(a.count(), b.count()),
        _ => assert_eq!(a, b),
    }
}

/// All that was ever recorded is in the slots, once.
fn assert_slots_are_totals(history: &History) {
    let merged = merged(&history.slots);
    for (id, total) in history.totals.series.iter().enumerate() {
        let id = SeriesId::try_from(id).unwrap();
        assert_same(&merged[&id], &total.packed().unpack());
    }
    assert_eq!(merged.len(), history.totals.series.len());
}

fn assert_contiguous(slots: &[Arc<Slot>]) {
    for pair in slots.windows(2) {
        assert_eq!(pair[0].until(), pair[1].since());
    }
}

fn with(max_bytes: usize, retention: Duration) -> Bench {
    Bench::with(WindowConfig {
        max_bytes,
        retention,
        ..WindowConfig::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn within_the_retention_nothing_is_lost_or_counted_twice(
        steps in steps(), max_bytes in prop_oneof![Just(0), Just(2_000), Just(usize::MAX)],
    ) {
        let mut bench = with(max_bytes, HOUR * 1_000);
        play(&mut bench, &steps, |bench| {
            let history = bench.windows.history();
            assert_contiguous(&history.slots);
            assert_eq!(history.slots.first().unwrap().since(), START);
            assert_eq!(history.slots.last().unwrap().until(), bench.now);
        });
        assert_slots_are_totals(&bench.windows.history());
    }

    #[test]
    fn slots_outlive_the_retention_by_no_more_than_themselves(
        steps in steps(), minutes in 1..300_u64,
    ) {
        let retention = Duration::from_secs(minutes * 60);
        let mut bench = with(usize::MAX, retention);
        play(&mut bench, &steps, |bench| {
            let history = bench.windows.history();
            let limit = bench.now.before(retention);
            let oldest = history.slots.first().unwrap();
            assert!(oldest.until() > limit);
            // What is in the retention is there.
            assert!(oldest.since() <= limit.max(START));
            assert_contiguous(&history.slots);
        });
    }

    #[test]
    fn a_window_is_the_fewest_slots_that_cover_it(steps in steps(), seconds in 1..9_000_u64) {
        let mut bench = with(usize::MAX, HOUR * 3);
        play(&mut bench, &steps, |_| ());
        let history = bench.windows.history();
        let asked = Duration::from_secs(seconds);
        let slots = history.last(asked);
        let (since, until) = History::covered(slots).unwrap();
        prop_assert_eq!(until, bench.now);
        let all = slots.len() == history.slots.len();
        prop_assert!(until.since(since) >= asked || all);
        if let [_, rest @ ..] = slots && let Some((since, until)) = History::covered(rest) {
            prop_assert!(until.since(since) < asked);
        }
    }

    #[test]
    fn the_table_of_the_ladder_holds(every in 100..20_000_u64, hours in 1..30_u64) {
        let mut bench = with(usize::MAX, HOUR * 48);
        let every = Duration::from_millis(every * hours);
        let overhang = every.max(Duration::from_secs(1));
        while bench.now < START.after(HOUR * u32::try_from(hours).unwrap()) {
            bench.collect_after(every);
        }
        let table = [
            (12 * 3600, 3 * 3600), (6 * 3600, 3600), (3 * 3600, 1800), (3600, 900),
            (900, 300), (300, 60), (120, 30), (60, 15), (0, 1),
        ];
        for slot in bench.windows.history().slots.iter() {
            let age = bench.now.since(slot.until());
            let (_, widest) = table.iter().find(|(from, _)| age.as_secs() >= *from).unwrap();
            // What one collection covers may stand over at either end of a cell.
            let widest = Duration::from_secs(*widest) + overhang;
            let width = slot.until().since(slot.since());
            prop_assert!(width <= widest, "{age:?} ago {width:?}");
        }
        // Two that follow each other take more than a second together.
        prop_assert!(bench.windows.history().slots.len() <= 120 + 110);
    }
}

#[test]
fn with_little_memory_windows_become_coarser_and_at_most_two_and_a_half_times_as_long() {
    let fill = |max_bytes| {
        let mut bench = with(max_bytes, HOUR * 24);
        for round in 0..2_880_u32 {
            for n in 3..6 {
                bench.record(series(n), f64::from(round % 97) / 5.0);
            }
            bench.collect_after(Duration::from_secs(30));
        }
        bench
    };
    let plenty = fill(usize::MAX);
    let enough = plenty.windows.ladder.heap_bytes();
    let scarce = fill(enough / 2);
    assert!(scarce.windows.ladder.heap_bytes() <= enough / 2);
    let none = fill(0);
    for bench in [scarce, none] {
        let history = bench.windows.history();
        for hours in 1..=12 {
            let (since, until) = History::covered(history.last(HOUR * hours)).unwrap();
            assert!(until.since(since) <= HOUR * hours * 5 / 2);
        }
        let merged = merged(&history.slots);
        assert_eq!(
            merged.values().map(Aggregate::count).sum::<u64>(),
            3 * 2_880
        );
    }
}

#[test]
fn where_merging_is_not_enough_old_slots_halve_their_resolution() {
    let fill = |max_bytes| {
        let mut bench = with(max_bytes, HOUR * 24);
        for round in 0..2_880_u32 {
            for value in 1..40 {
                bench.record(series(4), f64::from(value * (round % 7 + 1)) / 5.0);
            }
            bench.collect_after(Duration::from_secs(30));
        }
        bench
    };
    let scales = |bench: &Bench| -> Vec<(Duration, i8)> {
        let slots = bench.windows.ladder.slots().iter();
        let scale = |slot: &Arc<Slot>| match slot.entries().next().unwrap().1.unpack() {
            Aggregate::Exponential(histogram) => histogram.scale(),
            other => panic!("{other:?}"),
        };
        slots
            .map(|slot| (bench.now.since(slot.until()), scale(slot)))
            .collect()
    };
    let plenty = fill(usize::MAX);
    assert!(scales(&plenty).iter().all(|(_, scale)| *scale == 6));
    let merged_only = {
        // As small as it gets by merging: below, resolution has to go.
        let none = fill(0);
        assert!(none.windows.ladder.slots().len() < plenty.windows.ladder.slots().len() / 2);
        none.windows.ladder.heap_bytes()
    };
    for (age, scale) in scales(&fill(0)) {
        let is_old = age >= Duration::from_secs(300);
        assert_eq!(scale, if is_old { 4 } else { 6 }, "{age:?} ago");
    }
    // With a little more than that there is no need to go all the way.
    let enough = merged_only + merged_only / 4;
    let some = fill(enough);
    assert!(some.windows.ladder.heap_bytes() <= enough);
    assert!(scales(&some).iter().any(|(_, scale)| *scale == 5));
}

#[test]
fn what_does_nothing_takes_no_place() {
    let mut bench = Bench::new(HOUR);
    bench.add(series(0), 0.0);
    bench.set(series(3), Value::Exponential(ExponentialHistogram::new(6)));
    bench.collect_after(Duration::from_secs(5));
    let history = bench.windows.history();
    assert_eq!(history.totals.series.len(), 0);
    assert_eq!(history.slots.len(), 1);
}

#[test]
fn of_metrics_that_no_view_shows_there_are_totals_only() {
    let mut bench = Bench::new(HOUR);
    bench.record(key("my.histogram", []), 1.0);
    bench.collect_after(Duration::from_secs(5));
    let history = bench.windows.history();
    assert_eq!(history.totals.series.len(), 1);
    assert_eq!(history.slots[0].entries().count(), 0);
}

#[test]
fn beyond_the_limit_series_are_folded_into_one_for_each_metric() {
    let mut bench = Bench::with(WindowConfig {
        max_series: 3,
        ..WindowConfig::default()
    });
    for round in 0..3 {
        for model in 0..10 {
            let labels = [(GEN_AI_REQUEST_MODEL, &*format!("model-{model}"))];
            bench.record(key(GEN_AI_OPERATION_DURATION, labels), 1.0);
            bench.add(key(COST, labels), 0.25);
        }
        bench.collect_after(Duration::from_secs(5 + round));
    }
    let history = bench.windows.history();
    // Two metrics have something to fold; of 20 series 3 were admitted.
    assert_eq!(history.totals.series.len(), 3 + 2);
    assert_eq!(history.totals.folded, 3 * 17);
    assert_slots_are_totals(&history);
    let aggregates = merged(&history.slots);
    let count: u64 = aggregates.values().map(Aggregate::count).sum();
    assert_eq!(count, 30);
    let usd: f64 = aggregates
        .values()
        .filter(|a| a.count() == 0)
        .map(Aggregate::sum)
        .sum();
    assert_eq!(usd, 7.5);
    let overflow = history.totals.series.last().unwrap().key();
    assert_eq!(overflow.labels.get(METRIC_OVERFLOW), Some("true"));
}

#[test]
fn small_amounts_are_summed_exactly() {
    let mut bench = Bench::new(HOUR * 24);
    // In `f64` the sum of these is not 42.
    for _ in 0..10_000 {
        bench.add(series(0), 0.0042);
        bench.collect_after(Duration::from_secs(1));
    }
    let history = bench.windows.history();
    let total = history.totals.series[0].packed().unpack();
    assert_eq!(total, Aggregate::Money(42_000_000_000));
    assert_eq!(merged(&history.slots)[&0], total);
    assert_eq!(total.sum(), 42.0);
}

#[test]
fn a_window_of_whole_slots_takes_no_slot_more() {
    let mut bench = Bench::new(HOUR);
    (0..3).for_each(|_| bench.collect_after(Duration::from_secs(5)));
    let history = bench.windows.history();
    assert_eq!(history.last(Duration::from_secs(10)).len(), 2);
    assert_eq!(history.last(Duration::from_millis(10_001)).len(), 3);
}

#[test]
fn collecting_without_end_makes_no_more_than_a_slot_a_second() {
    let mut bench = Bench::new(HOUR);
    (0..1_000).for_each(|_| bench.collect_after(Duration::from_millis(10)));
    assert_eq!(bench.windows.history().slots.len(), 10);
}

#[test]
fn what_is_kept_apart_for_one_collection_is_not_for_ever() {
    let mut bench = Bench::new(HOUR);
    let mut told = Vec::new();
    for nth in 0..1_000 {
        // The end of the last one each time, and for good that of every hundredth.
        let last = bench.now;
        if nth % 100 == 55 {
            told.push(last);
        }
        let apart = told.iter().copied().chain([last]);
        bench.windows.keep_apart(apart);
        bench.collect_after(Duration::from_millis(10));
    }
    let slots = bench.windows.history().slots;
    assert!(slots.len() <= 10 + told.len() + 2, "{}", slots.len());
    for end in told {
        assert!(slots.iter().any(|slot| slot.until() == end), "{end:?}");
    }
}

#[test]
fn a_longer_retention_keeps_all_and_a_shorter_one_forgets_what_is_older() {
    let mut bench = Bench::new(2 * HOUR);
    let seconds = |bench: &Bench| {
        let history = bench.windows.history();
        let (since, until) = History::covered(&history.slots).unwrap();
        (until.since(since), history.retention)
    };
    let work = |bench: &mut Bench, hours: u32| {
        for _ in 0..hours * 60 {
            bench.record(series(3), 1.0);
            bench.collect_after(HOUR / 60);
        }
    };
    work(&mut bench, 3);
    let (kept, _) = seconds(&bench);
    assert!((2 * HOUR..3 * HOUR).contains(&kept), "{kept:?}");
    // Grown: nothing is lost that was there, and more comes to it.
    bench.windows.set_retention(10 * HOUR);
    work(&mut bench, 4);
    assert_eq!(seconds(&bench), (kept + 4 * HOUR, 10 * HOUR));
    // Shrunk: with the next collection what is older is gone, but for the rest of one slot.
    bench.windows.set_retention(HOUR);
    work(&mut bench, 1);
    let (kept, retention) = seconds(&bench);
    assert!((HOUR..2 * HOUR).contains(&kept), "{kept:?}");
    assert_eq!(retention, HOUR);
    let total = &bench.windows.history().totals.series[0];
    assert_eq!(
        total.packed().count(),
        8 * 60,
        "since the start is for ever"
    );
}
