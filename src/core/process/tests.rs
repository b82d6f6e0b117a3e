//! States that follow from samples, and counters that begin with the first.

use super::*;
use crate::core::testing::{START, key, key_of};

fn sample(after_ms: u64, cpu_ms: u64, limit: f64) -> ProcessSample {
    ProcessSample {
        at: START.after(Duration::from_millis(after_ms)),
        cpu: Some(CpuTime {
            user: Duration::from_millis(cpu_ms / 2),
            system: Duration::from_millis(cpu_ms - cpu_ms / 2),
        }),
        cpu_limit: Some(limit),
        ..ProcessSample::default()
    }
}

fn percent(state: &ProcessState) -> Option<i64> {
    state
        .cpu_utilization
        .map(|share| (share * 1_000.0).round() as i64)
}

#[test]
fn usage_is_of_what_could_have_been_had() {
    let first = ProcessState::default().next(sample(0, 500, 2.0));
    assert_eq!(percent(&first), None);
    let second = first.next(sample(5_000, 3_000, 2.0));
    assert_eq!(percent(&second), Some(250));
    let third = second.next(sample(10_000, 13_000, 2.0));
    assert_eq!(percent(&third), Some(1_000));
    // A quota of half a core, used up.
    let fourth = third.next(sample(15_000, 15_500, 0.5));
    assert_eq!(percent(&fourth), Some(1_000));
}

#[test]
fn usage_is_never_taken_over_less_than_a_second() {
    let first = ProcessState::default().next(sample(0, 0, 1.0));
    let at_once = first.next(sample(1, 1, 1.0));
    assert_eq!(percent(&at_once), None, "a millisecond says nothing");
    let soon = at_once.next(sample(100, 60, 1.0));
    assert_eq!(percent(&soon), Some(600), "something, for the first time");
    let second = soon.next(sample(1_000, 600, 1.0));
    let again = second.next(sample(1_300, 600, 1.0));
    assert_eq!(percent(&again), Some(600), "what it was before");
    let later = again.next(sample(2_000, 700, 1.0));
    assert_eq!(percent(&later), Some(100), "from the second before on");
}

#[test]
fn without_a_limit_or_cpu_time_there_is_no_usage() {
    for odd in [0.0, -1.0, f64::NAN] {
        let state = ProcessState::default().next(sample(0, 0, odd));
        assert_eq!(percent(&state.next(sample(5_000, 100, odd))), None);
    }
    let unknown = ProcessSample {
        cpu: None,
        ..sample(5_000, 0, 1.0)
    };
    let state = ProcessState::default()
        .next(sample(0, 0, 1.0))
        .next(unknown);
    assert_eq!(percent(&state), None);
    // It comes back.
    let state = state
        .next(sample(10_000, 100, 1.0))
        .next(sample(15_000, 600, 1.0));
    assert_eq!(percent(&state), Some(100));
}

#[test]
fn a_clock_that_stands_makes_no_number() {
    let state = ProcessState::default().next(sample(0, 0, 1.0));
    assert_eq!(percent(&state.next(sample(0, 100, 1.0))), None);
}

#[test]
fn what_was_before_the_watch_belongs_to_no_window() {
    let before = ProcessSample {
        minor_faults: Some(1_000),
        ..sample(0, 400, 1.0)
    };
    let user = key(names::PROCESS_CPU_TIME, [(names::CPU_MODE, "user")]);
    let minor = key(
        names::PROCESS_PAGING_FAULTS,
        [(names::PAGING_FAULT_TYPE, "minor")],
    );
    let major = key(
        names::PROCESS_PAGING_FAULTS,
        [(names::PAGING_FAULT_TYPE, "major")],
    );
    let theirs = key_of(
        "theirs",
        names::PROCESS_CPU_TIME,
        [(names::CPU_MODE, "user")],
    );
    let mut collection = Collection {
        points: vec![
            (user, Value::Sum(0.75)),
            (minor, Value::Sum(900.0)),
            (major, Value::Sum(3.0)),
            (theirs, Value::Sum(0.75)),
        ],
        ..Collection::default()
    };
    before.take_off(&mut collection);
    let left: Vec<&Value> = collection.points.iter().map(|(_, value)| value).collect();
    let expected = [0.55, 0.0, 3.0, 0.75].map(Value::Sum);
    assert_eq!(left, expected.iter().collect::<Vec<_>>());
}

#[test]
fn each_counter_is_one_series() {
    let sample = ProcessSample {
        minor_faults: Some(1),
        major_faults: Some(2),
        io: Some(Io::default()),
        network: Some(Network::default()),
        ..sample(0, 0, 1.0)
    };
    let series: std::collections::BTreeSet<_> =
        sample.counters().map(|c| (c.metric, c.labels)).collect();
    assert_eq!(series.len(), sample.counters().count());
    assert!(
        series
            .iter()
            .all(|(metric, _)| names::PROCESS.contains(metric))
    );
}
