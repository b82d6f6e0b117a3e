//! States, and the order that follows from them.

use super::*;
use crate::core::{
    histogram::ExponentialHistogram,
    series::{Labels, MetricInfo},
};
use proptest::prelude::*;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix_nanos(1_700_000_000_000_000_000 + seconds * 1_000_000_000)
}

/// One collection: attempts of a model that succeeded, each in so many seconds, and that failed.
fn collection(now: u64, attempts: &[(&str, u64, f64, u64, &str)]) -> Collection {
    let mut collection = Collection {
        since: at(now.saturating_sub(1)),
        until: at(now),
        ..Collection::default()
    };
    let text = |text: &str| Arc::<str>::from(text);
    let name = (text(names::SCOPE), text(names::GEN_AI_OPERATION_DURATION));
    let info = MetricInfo {
        unit: text("s"),
        description: text(""),
    };
    collection.metrics.insert(name.clone(), info);
    for (model, succeeded, seconds, failed, error) in attempts {
        for (count, error, seconds) in [(*succeeded, None, *seconds), (*failed, Some(*error), 0.1)]
        {
            if count == 0 {
                continue;
            }
            let labels = [
                Some((names::GEN_AI_PROVIDER_NAME, "p")),
                Some((names::GEN_AI_REQUEST_MODEL, *model)),
                error.map(|error| (names::ERROR_TYPE, error)),
            ];
            let labels = labels.into_iter().flatten();
            let key = SeriesKey {
                scope: name.0.clone(),
                metric: name.1.clone(),
                labels: Labels::new(labels.map(|(key, value)| (text(key), text(value)))),
            };
            let histogram = ExponentialHistogram::from_parts(
                0,
                0,
                0,
                [count],
                seconds * count as f64,
                Some(seconds),
                Some(seconds),
            );
            collection.points.push((key, Value::Exponential(histogram)));
        }
    }
    collection
}

fn state(board: &Board, model: &str) -> (HealthState, HealthReason) {
    let standing = board.get("p", model).unwrap();
    (standing.state, standing.reason)
}

#[test]
fn a_state_follows_from_what_happened() {
    for (succeeded, failed, error, expected) in [
        (
            9,
            0,
            "500",
            (HealthState::Unknown, HealthReason::TooFewSamples),
        ),
        (
            100,
            0,
            "500",
            (HealthState::Healthy, HealthReason::SuccessRate),
        ),
        (
            95,
            5,
            "500",
            (HealthState::Healthy, HealthReason::SuccessRate),
        ),
        (
            94,
            6,
            "429",
            (HealthState::Degraded, HealthReason::SuccessRate),
        ),
        (
            79,
            21,
            "timeout",
            (HealthState::Unhealthy, HealthReason::SuccessRate),
        ),
        (
            20,
            80,
            "400",
            (HealthState::Healthy, HealthReason::SuccessRate),
        ),
        (
            20,
            80,
            "cancelled",
            (HealthState::Healthy, HealthReason::SuccessRate),
        ),
    ] {
        let mut standings = Standings::new(HealthPolicy::default());
        let (board, changed) =
            standings.judge(&collection(0, &[("m", succeeded, 1.0, failed, error)]));
        assert_eq!(state(&board, "m"), expected, "{succeeded} {failed} {error}");
        assert_eq!(changed, expected.0 != HealthState::Unknown);
    }
}

#[test]
fn one_that_became_slow_is_degraded_until_it_is_as_before() {
    let mut standings = Standings::new(HealthPolicy::default());
    let mut states = Vec::new();
    for now in 0..900 {
        let seconds = if (300..500).contains(&now) { 5.0 } else { 1.0 };
        let (board, _) = standings.judge(&collection(now, &[("m", 2, seconds, 0, "")]));
        states.push(state(&board, "m"));
    }
    assert_eq!(
        states[299],
        (HealthState::Healthy, HealthReason::SuccessRate)
    );
    assert_eq!(states[360], (HealthState::Degraded, HealthReason::Latency));
    assert_eq!(
        states[899],
        (HealthState::Healthy, HealthReason::SuccessRate)
    );
}

#[test]
fn without_any_success_for_long_it_is_unhealthy() {
    let policy = HealthPolicy {
        unhealthy_below_percent: 0.0,
        degraded_below_percent: 0.0,
        ..HealthPolicy::default()
    };
    let mut standings = Standings::new(policy);
    standings.judge(&collection(0, &[("m", 50, 1.0, 0, "")]));
    let (board, _) = standings.judge(&collection(59, &[("m", 0, 1.0, 20, "503")]));
    assert_eq!(state(&board, "m").0, HealthState::Healthy);
    let (board, _) = standings.judge(&collection(60, &[("m", 0, 1.0, 1, "503")]));
    assert_eq!(
        state(&board, "m"),
        (HealthState::Unhealthy, HealthReason::NoSuccess)
    );
}

#[test]
fn to_get_better_takes_a_margin_and_time() {
    let mut standings = Standings::new(HealthPolicy::default());
    let mut judge = |now, succeeded, failed| {
        let (board, changed) =
            standings.judge(&collection(now, &[("m", succeeded, 1.0, failed, "503")]));
        (state(&board, "m").0, changed)
    };
    assert_eq!(judge(0, 50, 50), (HealthState::Unhealthy, true));
    // The bad ones leave the short window, and 82 % is not enough.
    assert_eq!(judge(120, 82, 18), (HealthState::Unhealthy, false));
    assert_eq!(judge(240, 84, 16), (HealthState::Degraded, true));
    assert_eq!(judge(360, 97, 3), (HealthState::Degraded, false));
    assert_eq!(judge(480, 98, 2), (HealthState::Healthy, true));
    assert_eq!(judge(600, 95, 5), (HealthState::Healthy, false));
    assert_eq!(judge(720, 94, 6), (HealthState::Degraded, true));
    // Better at once, though not for ten seconds.
    assert_eq!(judge(780, 100, 0), (HealthState::Healthy, true));
    assert_eq!(judge(840, 0, 100), (HealthState::Unhealthy, true));
    assert_eq!(judge(845, 10_000, 0), (HealthState::Unhealthy, false));
    assert_eq!(judge(850, 10_000, 0), (HealthState::Healthy, true));
}

#[test]
fn what_is_forgotten_is_unknown() {
    let mut standings = Standings::new(HealthPolicy::default());
    standings.judge(&collection(0, &[("m", 0, 1.0, 50, "503")]));
    let (board, _) = standings.judge(&collection(600, &[]));
    assert_eq!(
        state(&board, "m").0,
        HealthState::Unhealthy,
        "the long window knows"
    );
    let (board, changed) = standings.judge(&collection(1_000, &[]));
    assert_eq!(state(&board, "m").0, HealthState::Unknown);
    assert!(changed);
}

#[test]
fn the_order_is_by_state_then_by_speed_then_as_given() {
    let mut standings = Standings::new(HealthPolicy::default());
    let (board, _) = standings.judge(&collection(
        0,
        &[
            ("slow", 100, 5.0, 0, ""),
            ("fast", 100, 1.0, 0, ""),
            ("as fast", 100, 1.001, 0, ""),
            ("degraded", 90, 0.1, 10, "503"),
            ("bad", 0, 0.1, 100, "503"),
        ],
    ));
    let order = |models: &[&str]| {
        let candidates: Vec<(&str, &str)> = models.iter().map(|model| ("p", *model)).collect();
        board.rank(&candidates).iter().collect::<Vec<_>>()
    };
    assert_eq!(
        order(&["bad", "degraded", "new", "slow", "fast"]),
        [4, 3, 2, 1, 0]
    );
    assert_eq!(order(&["as fast", "fast"]), [0, 1]);
    assert_eq!(order(&["fast", "as fast"]), [0, 1]);
    assert_eq!(order(&[]), [0; 0]);
    assert_eq!(order(&["bad"; 3]), [0, 1, 2]);
    let many = order(&["bad"; 20]);
    assert_eq!(many, (0..20).collect::<Vec<_>>());
    let mut models = ["bad"; 40];
    models[15] = "fast";
    models[39] = "fast";
    let many = order(&models);
    assert_eq!(
        (many[0], many[39]),
        (15, 39),
        "beyond sixteen they stay where they are"
    );
    assert_eq!(board.rank(&[]).best(), None);
}

#[test]
fn there_is_a_bound_to_the_pairs() {
    let mut standings = Standings::new(HealthPolicy::default());
    let models: Vec<String> = (0..1_000).map(|n| format!("m{n}")).collect();
    let attempts: Vec<_> = models.iter().map(|m| (m.as_str(), 1, 1.0, 0, "")).collect();
    let (board, _) = standings.judge(&collection(0, &attempts));
    assert_eq!(board.all().len(), MAX_PAIRS);
}

fn rank_of(state: HealthState) -> u8 {
    state as u8
}

proptest! {
    #[test]
    fn more_success_is_never_worse(
        before in 0..4_u8, total in 20..1_000_u64, a in 0..1_000_u64, b in 0..1_000_u64,
    ) {
        let before = [HealthState::Healthy, HealthState::Unknown, HealthState::Degraded, HealthState::Unhealthy]
            [usize::from(before)];
        let outcomes = |succeeded: u64| {
            let succeeded = succeeded.min(total);
            let all = recent::Outcomes { succeeded, failed: total - succeeded, took: Duration::from_secs(succeeded) };
            let without_success = Duration::ZERO;
            judge(&HealthPolicy::default(), before, &Evidence { short: all, long: all, without_success }).0
        };
        let (less, more) = (a.min(b), a.max(b));
        prop_assert!(rank_of(outcomes(more)) <= rank_of(outcomes(less)));
    }

    #[test]
    fn around_a_limit_it_does_not_flutter(noise in prop::collection::vec(93..98_u64, 10..60)) {
        let mut standings = Standings::new(HealthPolicy::default());
        let mut changes = 0;
        for (n, succeeded) in noise.iter().enumerate() {
            // Each in a short window of its own.
            let attempts = [("m", *succeeded, 1.0, 100 - succeeded, "503")];
            let (_, changed) = standings.judge(&collection(n as u64 * 70, &attempts));
            changes += usize::from(changed);
        }
        prop_assert!(changes <= 2, "it settles in one state: {changes}");
    }
}
