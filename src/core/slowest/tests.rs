use super::*;
use crate::{core::trace_link::TraceLink, event_type::PerformanceEventType};
use proptest::prelude::*;

const BOUNDARIES: Boundaries = Boundaries {
    attempts: &[1.0, 2.0, 4.0],
    operations: &[1.0],
};

fn keeper() -> SlowestKeeper {
    SlowestKeeper::new(BOUNDARIES, Arc::new(LabelTables::for_tests()))
}

fn at(second: u64) -> Timestamp {
    Timestamp::from_unix_nanos(second * 1_000_000_000)
}

fn attempt(ended: u64, duration: u64) -> Measurement {
    let mut attempt = Measurement::new(Kind::Attempt, PerformanceEventType::ProviderEnd);
    attempt.provider = Label::OTHER;
    attempt.ended = at(ended);
    attempt.duration = duration;
    attempt
}

fn of_model(slowest: &Slowest) -> &Kept {
    &slowest.subjects[&Subject::Model(Label::OTHER, Label::NONE)]
}

/// The slowest of those that ended after `start`, slowest first.
fn durations_after(kept: &Kept, start: Timestamp) -> Vec<u64> {
    let inside = kept.slowest.iter().filter(|request| request.ended > start);
    let mut durations: Vec<u64> = inside.map(|request| request.duration).collect();
    durations.sort_unstable_by(|a, b| b.cmp(a));
    durations.truncate(FEW);
    durations
}

proptest! {
    #[test]
    fn the_slowest_of_any_window_are_kept(
        intervals in prop::collection::vec(prop::collection::vec(0..40_u64, 0..12), 1..40),
    ) {
        let mut keeper = keeper();
        let mut all: Vec<(u64, u64)> = Vec::new();
        let mut kept = Arc::default();
        for (second, durations) in (1..).zip(&intervals) {
            for duration in durations {
                keeper.note(0, &attempt(second, *duration));
                all.push((second, *duration));
            }
            kept = keeper.fold(Timestamp::EPOCH);
        }
        if all.is_empty() {
            return Ok(());
        }
        for start in 0..=intervals.len() as u64 {
            let inside = all.iter().filter(|(ended, _)| *ended > start);
            let mut expected: Vec<u64> = inside.map(|(_, duration)| *duration).collect();
            expected.sort_unstable_by(|a, b| b.cmp(a));
            expected.truncate(FEW);
            prop_assert_eq!(durations_after(of_model(&kept), at(start)), expected);
        }
    }
}

#[test]
fn of_many_intervals_few_are_kept() {
    let mut keeper = keeper();
    let mut state = 1_u64;
    for second in 1..=17_280 {
        for _ in 0..10 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            keeper.note(0, &attempt(second, state >> 40));
        }
        keeper.fold(Timestamp::EPOCH);
    }
    let kept = of_model(&keeper.kept).slowest.len();
    // 5 · (1 + ln(17,280 / 5)) = 46.
    assert!((20..100).contains(&kept), "{kept}");
}

#[test]
fn the_last_failed_are_kept() {
    let mut keeper = keeper();
    for second in 1..=20 {
        let mut failed = attempt(second, 1);
        failed.error = (second % 2 == 0).then_some("timeout");
        keeper.note(second, &failed);
        if second % 7 == 0 {
            keeper.fold(Timestamp::EPOCH);
        }
    }
    let kept = keeper.fold(Timestamp::EPOCH);
    let numbers: Vec<u64> = of_model(&kept).failed.iter().map(|f| f.number).collect();
    assert_eq!(numbers, [12, 14, 16, 18, 20]);
}

#[test]
fn of_the_traced_the_newest_of_each_bucket_is_kept() {
    let mut keeper = keeper();
    // In seconds: the buckets up to 1, 2, 4 and beyond.
    for (second, duration) in [(1, 1), (2, 2), (3, 9), (4, 1), (5, 3), (6, 2)] {
        let mut traced = attempt(second, duration * 1_000_000_000);
        traced.set_trace(Some(TraceLink {
            trace_id: [1; 16],
            span_id: [2; 8],
        }));
        keeper.note(second, &traced);
        if second == 3 {
            keeper.fold(Timestamp::EPOCH);
        }
    }
    keeper.note(7, &attempt(7, 1));
    let kept = keeper.fold(Timestamp::EPOCH);
    let numbers: Vec<u64> = of_model(&kept).traced.iter().map(|t| t.number).collect();
    assert_eq!(numbers, [3, 4, 5, 6]);
}

#[test]
fn endpoints_and_models_are_kept_apart_and_nothing_else_is() {
    let mut keeper = keeper();
    for kind in [Kind::Operation, Kind::Attempt, Kind::Component, Kind::Timer] {
        let mut measurement = attempt(1, 1);
        measurement.kind = kind;
        keeper.note(0, &measurement);
    }
    let kept = keeper.fold(Timestamp::EPOCH);
    let subjects: Vec<Subject> = kept.subjects.keys().copied().collect();
    let model = Subject::Model(Label::OTHER, Label::NONE);
    assert_eq!(subjects, [model, Subject::Endpoint(Label::OTHER)]);
}

#[test]
fn what_is_too_old_goes_and_takes_its_subject_along() {
    let mut keeper = keeper();
    keeper.note(0, &attempt(1, 1));
    keeper.note(1, &attempt(3, 1));
    assert_eq!(of_model(&keeper.fold(at(1))).slowest.len(), 1);
    assert!(keeper.fold(at(3)).subjects.is_empty());
    assert_eq!(
        keeper.kept.complete_after, None,
        "it was not for want of room"
    );
}

#[test]
fn of_too_many_the_oldest_go_and_that_is_said() {
    let mut keeper = keeper();
    // Ever shorter ones: each is the slowest of some window.
    for second in 1..=3_000 {
        keeper.note(second, &attempt(second, 4_000 - second));
        if second % 3 == 0 {
            keeper.fold(Timestamp::EPOCH);
        }
    }
    let kept = keeper.fold(Timestamp::EPOCH);
    assert_eq!(of_model(&kept).slowest.len(), MOST);
    assert_eq!(kept.complete_after, Some(at(3_000 - MOST as u64)));
}

#[test]
fn what_comes_between_two_collections_is_bounded_too() {
    let mut keeper = keeper();
    for number in 0..3 * MOST_OPEN as u64 {
        let mut failed = attempt(number, number);
        failed.error = Some("timeout");
        failed.set_request_id(Some("request".into()));
        keeper.note(number, &failed);
        assert!(keeper.held < MOST_OPEN);
    }
    let kept = of_model(&keeper.fold(Timestamp::EPOCH)).clone();
    assert_eq!(kept.failed.len(), FEW);
    assert_eq!(kept.failed[0].request_id(), Some("request"));
    assert!(keeper.heap_bytes() > 0);
}
