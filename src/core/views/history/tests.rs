//! The points against an oracle that keeps every event.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::core::error_type;
use crate::core::process::MEBIBYTE;
use crate::core::series::Value;
use crate::core::testing::{Bench, key};
use crate::names::*;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// One thing that was done: an attempt inside an operation, with some component work.
#[derive(Debug, Clone)]
struct Event {
    provider: &'static str,
    model: &'static str,
    endpoint: &'static str,
    error_type: Option<&'static str>,
    seconds: f64,
    nano_usd: u32,
    tokens: u16,
    size: u16,
    hit: bool,
    /// The end of its collection.
    at: f64,
}

fn event() -> impl Strategy<Value = Event> {
    let error_type = prop_oneof![
        6 => Just(None),
        1 => prop::sample::select(vec!["timeout", "429", "504", "400", "500", "cancelled"])
            .prop_map(Some),
    ];
    let names = (
        prop::sample::select(vec!["cerebras", "zai"]),
        prop::sample::select(vec!["small", "meta/large"]),
        prop::sample::select(vec!["/a", "/b"]),
    );
    let numbers = (
        0.001..40.0_f64,
        0..9_000_000_u32,
        0..5_000_u16,
        1..9_000_u16,
        any::<bool>(),
    );
    (names, error_type, numbers).prop_map(
        |((provider, model, endpoint), error_type, (seconds, nano_usd, tokens, size, hit))| Event {
            provider,
            model,
            endpoint,
            error_type,
            seconds,
            nano_usd,
            tokens,
            size,
            hit,
            at: 0.0,
        },
    )
}

/// Events in the order of their collections, with the time that each collection takes.
fn course() -> impl Strategy<Value = Vec<(Duration, Vec<Event>)>> {
    let time = prop_oneof![4 => 1..15_u64, 1 => 60..2_000_u64].prop_map(Duration::from_secs);
    prop::collection::vec((time, prop::collection::vec(event(), 0..6)), 1..60)
}

fn record(bench: &mut Bench, event: &Event) {
    let provider = (GEN_AI_PROVIDER_NAME, event.provider);
    let model = (GEN_AI_REQUEST_MODEL, event.model);
    let place = [provider, model];
    let route = (HTTP_ROUTE, event.endpoint);
    bench.record(
        key(TIMER_DURATION, [(TIMER, event.endpoint)]),
        event.seconds,
    );
    let component = [(COMPONENT, "router"), (OPERATION, event.model)];
    let [first, second] = component;
    let (attempt, operation, work) = match event.error_type {
        Some(error) => {
            let error = (ERROR_TYPE, error);
            (
                key(GEN_AI_OPERATION_DURATION, [provider, model, error]),
                // As the conventions have it: a caller's fault is no error of the server.
                key(
                    HTTP_SERVER_REQUEST_DURATION,
                    [route, (HTTP_RESPONSE_STATUS_CODE, "400")],
                ),
                key(COMPONENT_DURATION, [first, second, error]),
            )
        }
        None => (
            key(GEN_AI_OPERATION_DURATION, place),
            key(
                HTTP_SERVER_REQUEST_DURATION,
                [route, (HTTP_RESPONSE_STATUS_CODE, "200")],
            ),
            key(COMPONENT_DURATION, component),
        ),
    };
    for series in [attempt, operation, work] {
        bench.record(series, event.seconds);
    }
    bench.record(key(GEN_AI_TIME_TO_FIRST_CHUNK, place), event.seconds / 4.0);
    bench.add(key(COST, place), f64::from(event.nano_usd) / 1e9);
    let tokens = [provider, model, (GEN_AI_TOKEN_TYPE, TOKEN_OUTPUT)];
    bench.record(key(GEN_AI_TOKEN_USAGE, tokens), f64::from(event.tokens));
    bench.record(
        key(HTTP_SERVER_RESPONSE_BODY_SIZE, [route]),
        f64::from(event.size),
    );
    let result = if event.hit { CACHE_HIT } else { CACHE_MISS };
    bench.add(
        key(CACHE_RESULTS, [provider, model, (CACHE_RESULT, result)]),
        1.0,
    );
    bench.add(key(RATE_LIMIT_HITS, place), 1.0);
}

fn play(bench: &mut Bench, course: &[(Duration, Vec<Event>)]) -> Vec<Event> {
    let mut oracle = Vec::new();
    for (time, events) in course {
        for event in events {
            record(bench, event);
        }
        bench.collect_after(*time);
        let at = bench.now.as_unix_seconds();
        oracle.extend(events.iter().map(|event| Event {
            at,
            ..event.clone()
        }));
    }
    oracle
}

fn nearest_rank(mut values: Vec<f64>, q: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let rank = ((q * values.len() as f64).ceil() as usize).max(1);
    values.get(rank - 1).copied()
}

fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 * 100.0 / whole as f64)
}

fn failures(events: &[&Event]) -> usize {
    events.iter().filter(|e| e.error_type.is_some()).count()
}

/// What a point has to say of `events`, over `seconds`.
fn exact(
    metric: HistoryMetric,
    scope: &HistoryScope,
    events: &[&Event],
    seconds: f64,
) -> Option<f64> {
    use HistoryMetric as M;
    // A timer only observes: nothing fails.
    let never_fails = matches!(scope, HistoryScope::Timer(_));
    let of_operations = matches!(scope, HistoryScope::Gateway | HistoryScope::Endpoint(_));
    // Of an operation the series has the status alone, which here is no error of the server's.
    let count = |wanted: &dyn Fn(&str) -> bool| {
        let is = |e: &&&Event| !of_operations && !never_fails && e.error_type.is_some_and(wanted);
        events.iter().filter(is).count()
    };
    let failed = if never_fails { 0 } else { failures(events) };
    let (n, succeeded) = (events.len(), events.len() - failed);
    let ms: Vec<f64> = events.iter().map(|e| e.seconds * 1e3).collect();
    let mean = |sum: f64| (n > 0).then(|| sum / n as f64);
    let sum = |of: fn(&Event) -> f64| events.iter().map(|e| of(e)).sum::<f64>();
    let cost = sum(|e| f64::from(e.nano_usd)) / 1e9;
    let hits = events.iter().filter(|e| e.hit).count();
    match metric {
        M::TotalRequests | M::RateLimitHits => Some(n as f64),
        M::SuccessfulRequests => Some(succeeded as f64),
        M::FailedRequests => Some(failed as f64),
        M::TimeoutRequests => Some(count(&error_type::is_timeout) as f64),
        M::RateLimitedRequests => Some(count(&error_type::is_rate_limited) as f64),
        M::RequestsPerSecond => Some(n as f64 / seconds),
        M::RequestsPerMinute => Some(n as f64 / seconds * 60.0),
        M::ErrorsPerSecond => Some(failed as f64 / seconds),
        M::SuccessRatePercent => share(succeeded, n),
        M::ProviderSuccessRatePercent => {
            let callers = count(&|e| error_type::domain(e).is_callers());
            share(succeeded, n - callers)
        }
        M::ErrorRatePercent => share(failed, n),
        M::AverageResponseTimeMs => mean(ms.iter().sum()),
        M::MinResponseTimeMs => nearest_rank(ms, 0.0),
        M::MaxResponseTimeMs => nearest_rank(ms, 1.0),
        M::P50ResponseTimeMs => nearest_rank(ms, 0.5),
        M::P95ResponseTimeMs => nearest_rank(ms, 0.95),
        M::P99ResponseTimeMs => nearest_rank(ms, 0.99),
        M::P999ResponseTimeMs => nearest_rank(ms, 0.999),
        M::AvgTimeToFirstTokenMs => mean(ms.iter().sum::<f64>() / 4.0),
        M::P50TimeToFirstTokenMs => Some(nearest_rank(ms, 0.5)? / 4.0),
        M::P95TimeToFirstTokenMs => Some(nearest_rank(ms, 0.95)? / 4.0),
        M::P99TimeToFirstTokenMs => Some(nearest_rank(ms, 0.99)? / 4.0),
        M::InputTokens | M::Timeouts | M::Failovers => Some(0.0),
        M::OutputTokens => Some(sum(|e| f64::from(e.tokens))),
        M::TotalCost => Some(cost),
        M::CostPerHour => Some(cost / seconds * 3_600.0),
        M::CostPerRequest => mean(cost),
        M::AvgRequestSize => None,
        M::AvgResponseSize => mean(sum(|e| f64::from(e.size))),
        M::CacheHits => Some(hits as f64),
        M::CacheMisses => Some((n - hits) as f64),
        M::CacheHitRatePercent => share(hits, n),
        _ => None,
    }
}

/// A scope, and whether it has an event.
type Scoped = (HistoryScope, fn(&Event) -> bool);

fn scopes() -> Vec<Scoped> {
    vec![
        (HistoryScope::Gateway, |_| true),
        (HistoryScope::Providers, |_| true),
        (HistoryScope::Provider("zai".into()), |e| {
            e.provider == "zai"
        }),
        (HistoryScope::parse("model:zai/meta/large").unwrap(), |e| {
            (e.provider, e.model) == ("zai", "meta/large")
        }),
        (HistoryScope::Timer("/a".into()), |e| e.endpoint == "/a"),
        (HistoryScope::Endpoint("/a".into()), |e| e.endpoint == "/a"),
        (HistoryScope::parse("component:router").unwrap(), |_| true),
        (
            HistoryScope::parse("component:router/small").unwrap(),
            |e| e.model == "small",
        ),
    ]
}

/// One of each, so that all that is asked for is known.
fn seen() -> Vec<Event> {
    let event = |provider, model, endpoint| Event {
        provider,
        model,
        endpoint,
        error_type: None,
        seconds: 1.0,
        nano_usd: 7,
        tokens: 1,
        size: 1,
        hit: true,
        at: 0.0,
    };
    vec![
        event("zai", "meta/large", "/a"),
        event("zai", "small", "/b"),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn each_point_is_the_exact_figure_of_its_time(
        course in course(),
        window in 1..86_400_u64,
        step in prop_oneof![Just(None), (1..7_200_u64).prop_map(Some)],
    ) {
        let mut bench = Bench::new(DAY);
        let mut course = course;
        course.insert(0, (SECOND, seen()));
        let oracle = play(&mut bench, &course);
        let snapshot = bench.snapshot();
        let window = Duration::from_secs(window);
        let step = step.map(|step| Duration::from_secs(step).max(window / 1_000));
        for (scope, is_in) in scopes() {
            for metric in HistoryMetric::ALL {
                let query = HistoryQuery::new(metric).scope(scope.clone()).window(window);
                let query = HistoryQuery { step, ..query };
                let answer = history(&snapshot, &query);
                if !scope.has(metric) {
                    let is_refused = matches!(answer, Err(ViewError::NotInScope { .. }));
                    prop_assert!(is_refused);
                    continue;
                }
                let view = answer.unwrap();
                let error = view.coverage.quantile_error_percent.unwrap_or(0.0) / 100.0;
                for pair in view.points.windows(2) {
                    prop_assert_eq!(pair[0].end, pair[1].start);
                }
                prop_assert_eq!(view.points[0].start, view.coverage.window_start);
                prop_assert_eq!(view.points.last().unwrap().end, view.coverage.window_end);
                for point in &view.points {
                    let inside = |e: &&Event| is_in(e) && e.at > point.start && e.at <= point.end;
                    let events: Vec<&Event> = oracle.iter().filter(inside).collect();
                    let expected = exact(metric, &scope, &events, point.end - point.start);
                    let is_close = match (point.value, expected) {
                        (Some(found), Some(expected)) => {
                            (found - expected).abs() <= expected.abs() * (error + 1e-6)
                        }
                        (found, expected) => found == expected,
                    };
                    prop_assert!(is_close, "{metric:?} of {scope}: {point:?} for {expected:?}");
                }
            }
        }
    }
}

/// A request each second for two hours, collected every five seconds.
fn steady() -> Bench {
    let mut bench = Bench::new(DAY);
    let series = key(HTTP_SERVER_REQUEST_DURATION, [(HTTP_ROUTE, "/a")]);
    for _ in 0..1_440 {
        for _ in 0..5 {
            bench.record(series.clone(), 0.5);
        }
        bench.collect_after(SECOND * 5);
    }
    bench
}

fn of(bench: &Bench, query: &HistoryQuery) -> HistoryView {
    history(&bench.snapshot(), query).unwrap()
}

#[test]
fn no_point_is_finer_than_the_slots() {
    let bench = steady();
    let metric = HistoryMetric::RequestsPerSecond;
    let query = HistoryQuery::new(metric).window(HOUR).step(SECOND * 10);
    let view = of(&bench, &query);
    let widths: Vec<f64> = view.points.iter().map(|p| p.end - p.start).collect();
    assert!(widths[0] >= 299.0, "{widths:?}");
    assert!(*widths.last().unwrap() <= 10.0, "{widths:?}");
    assert!(view.points.len() < 60, "{}", view.points.len());
    assert_eq!(view.step_seconds, 10.0);
    let samples: u64 = view.points.iter().map(|point| point.samples).sum();
    assert_eq!(samples as f64, view.coverage.window_seconds);
    // The rate does not depend on how wide a point is.
    let rates = view.points.iter().map(|p| p.value.unwrap());
    assert!(rates.into_iter().all(|rate| (rate - 1.0).abs() < 1e-9));
}

#[test]
fn points_begin_at_the_same_moments_whenever_they_are_asked_for() {
    let mut bench = steady();
    let query = HistoryQuery::new(HistoryMetric::TotalRequests)
        .window(HOUR)
        .step(MINUTE * 15);
    let before = of(&bench, &query);
    for _ in 0..60 {
        bench.collect_after(SECOND * 5);
    }
    let after = of(&bench, &query);
    let starts = |view: &HistoryView| -> Vec<f64> {
        let inner = &view.points[1..view.points.len() - 1];
        inner.iter().map(|point| point.start).collect()
    };
    let known = starts(&before);
    assert!(known.len() > 2);
    let common = starts(&after)
        .iter()
        .filter(|start| known.contains(start))
        .count();
    assert!(common >= known.len() - 1, "{known:?} {:?}", starts(&after));
}

#[test]
fn a_step_is_chosen_that_makes_neither_too_many_points_nor_too_few() {
    let chosen = |window| step_of(window, None).unwrap().as_secs();
    assert_eq!(chosen(HOUR), 30);
    assert_eq!(chosen(MINUTE * 5), 5);
    assert_eq!(chosen(DAY), 900);
    assert_eq!(chosen(DAY * 2), 1_800);
    assert_eq!(chosen(SECOND), 1);
    for minutes in 2..2_880 {
        let points = minutes * 60 / chosen(MINUTE * minutes as u32);
        assert!((48..=120).contains(&points), "{points} in {minutes} min");
    }
}

#[test]
fn what_cannot_be_answered_is_said() {
    let bench = steady();
    let answer = |query: HistoryQuery| history(&bench.snapshot(), &query).unwrap_err();
    let query = HistoryQuery::new(HistoryMetric::TotalRequests);
    let fine = query.clone().window(DAY).step(SECOND * 43);
    let least = SECOND * 44;
    assert_eq!(answer(fine), ViewError::StepTooFine { least });
    assert!(history(&bench.snapshot(), &query.clone().window(DAY).step(least)).is_ok());
    assert_eq!(
        answer(query.clone().step(Duration::ZERO)),
        ViewError::StepEmpty
    );
    let long = query.clone().window(DAY * 2);
    assert!(matches!(answer(long), ViewError::WindowTooLong { .. }));
    for (scope, error) in [
        ("provider:nobody", ViewError::UnknownProvider),
        ("model:zai/nothing", ViewError::UnknownModel),
        ("endpoint:/nowhere", ViewError::UnknownEndpoint),
        ("component:nothing", ViewError::UnknownComponent),
        ("timer:nothing", ViewError::UnknownTimer),
        ("experiment:nothing", ViewError::UnknownExperiment),
    ] {
        let scope = HistoryScope::parse(scope).unwrap();
        assert_eq!(answer(query.clone().scope(scope)), error);
    }
    let sizes = HistoryQuery::new(HistoryMetric::AvgRequestSize).scope(HistoryScope::Providers);
    assert_eq!(
        answer(sizes).to_string(),
        "there is no avg_request_size of providers"
    );
}

#[test]
fn without_samples_counts_are_zero_and_the_rest_is_nothing() {
    let mut bench = Bench::new(DAY);
    bench
        .configured
        .providers
        .push(("zai".into(), vec!["small".into()]));
    bench.collect_after(MINUTE);
    let scope = HistoryScope::parse("model:zai/small").unwrap();
    let value = |metric| {
        let view = of(&bench, &HistoryQuery::new(metric).scope(scope.clone()));
        (view.points[0].value, view.points[0].samples)
    };
    assert_eq!(value(HistoryMetric::TotalRequests), (Some(0.0), 0));
    assert_eq!(value(HistoryMetric::RequestsPerSecond), (Some(0.0), 0));
    assert_eq!(value(HistoryMetric::TotalCost), (Some(0.0), 0));
    assert_eq!(value(HistoryMetric::P95ResponseTimeMs), (None, 0));
    assert_eq!(value(HistoryMetric::SuccessRatePercent), (None, 0));
    assert_eq!(value(HistoryMetric::CostPerRequest), (None, 0));
}

#[test]
fn the_process_is_told_by_its_readings() {
    let mut bench = Bench::new(DAY);
    let traffic = |class, direction| {
        key(
            SYSTEM_NETWORK_IO,
            [(NETWORK_CLASS, class), (NETWORK_DIRECTION, direction)],
        )
    };
    for n in 1..=4 {
        let mebibytes = f64::from(n) * 100.0;
        let gauge = |value: f64| Value::Gauge(value);
        bench.set(key(PROCESS_MEMORY_USAGE, []), gauge(mebibytes * MEBIBYTE));
        bench.set(key(PROCESS_HEAP_USAGE, []), gauge(MEBIBYTE));
        bench.set(key(PROCESS_MEMORY_PRESSURE, []), gauge(mebibytes / 1_000.0));
        bench.set(key(PROCESS_CPU_UTILIZATION, []), gauge(0.25));
        bench.add(traffic("external", "receive"), 5_000.0);
        bench.add(traffic("external", "transmit"), 500.0);
        bench.add(traffic("loopback", "receive"), 7.0);
        bench.collect_after(SECOND * 5);
    }
    let point = |metric| {
        let query = HistoryQuery::new(metric).window(MINUTE).step(HOUR);
        let view = of(&bench, &query);
        assert_eq!(view.scope, "process");
        let count = view.points.len();
        assert_eq!(count, 1, "all of it in one hour");
        (view.points[0].value, view.points[0].samples)
    };
    assert_eq!(point(HistoryMetric::MemoryUsageMb), (Some(250.0), 4));
    assert_eq!(point(HistoryMetric::HeapUsedMb), (Some(1.0), 4));
    assert_eq!(point(HistoryMetric::MemoryPressure), (Some(25.0), 4));
    assert_eq!(point(HistoryMetric::CpuUsagePercent), (Some(25.0), 4));
    assert_eq!(
        point(HistoryMetric::ReceivedBytesPerSecond),
        (Some(1_000.0), 4)
    );
    assert_eq!(point(HistoryMetric::SentBytesPerSecond), (Some(100.0), 4));
    assert_eq!(point(HistoryMetric::DiskReadBytesPerSecond), (None, 0));
    assert_eq!(point(HistoryMetric::Threads), (None, 0));
    let requests = HistoryQuery::new(HistoryMetric::TotalRequests).scope(HistoryScope::Process);
    let refused = history(&bench.snapshot(), &requests);
    assert!(matches!(refused, Err(ViewError::NotInScope { .. })));
}

#[test]
fn scopes_are_written_as_they_are_read() {
    for text in [
        "gateway",
        "process",
        "providers",
        "provider:a:b",
        "model:zai/meta/large",
        "endpoint:/v1/{id}:run",
        "component:router",
        "component:router/parse",
        "timer:user_actions_login",
        "experiment:prompt",
        "experiment:prompt/short",
    ] {
        assert_eq!(HistoryScope::parse(text).unwrap().to_string(), text);
    }
    for text in [
        "",
        "Gateway",
        "gateway:",
        "gateway:x",
        "provider",
        "provider:",
        "model:zai",
        "model:/x",
        "model:zai/",
        "endpoint:",
        "component:",
        "component:/x",
        "nothing:x",
    ] {
        assert_eq!(HistoryScope::parse(text), None, "{text}");
    }
}

#[test]
fn metrics_have_names_of_their_own() {
    let names = HistoryMetric::ALL.map(HistoryMetric::name);
    let aliases = HistoryMetric::ALIASES.map(|(alias, _)| alias);
    let mut all: Vec<&str> = names.into_iter().chain(aliases).collect();
    for metric in HistoryMetric::ALL {
        assert_eq!(HistoryMetric::from_name(metric.name()), Some(metric));
    }
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), names.len() + aliases.len());
    assert_eq!(
        HistoryMetric::from_name("response_time_ms"),
        Some(HistoryMetric::P95ResponseTimeMs)
    );
    assert_eq!(HistoryMetric::from_name("nothing"), None);
}
