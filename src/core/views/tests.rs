//! The views against an oracle that keeps every attempt and every operation.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::clock::Timestamp;
use crate::core::alerts::rule::Severity;
use crate::core::alerts::view::{AlertDetail, AlertState, Alerts, SystemHealth};
use crate::core::classic::ClassicHistogram;
use crate::core::series::Value;
use crate::core::testing::{Bench, key, key_of};
use crate::core::window::Window;
use crate::names::*;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// One call to a provider, as the oracle keeps it.
#[derive(Debug, Clone)]
struct Attempt {
    provider: &'static str,
    model: &'static str,
    error_type: Option<&'static str>,
    seconds: f64,
    nano_usd: u32,
    output_tokens: u16,
    /// When it was collected.
    collected: Timestamp,
}

fn attempt() -> impl Strategy<Value = Attempt> {
    let error_type = prop_oneof![
        6 => Just(None),
        1 => prop::sample::select(vec!["timeout", "429", "rate_limited", "504", "400", "500",
            "cancelled", "stream_broken"]).prop_map(Some),
    ];
    (
        prop::sample::select(vec!["cerebras", "zai", "openai"]),
        prop::sample::select(vec!["small", "large"]),
        error_type,
        0.001..40.0_f64,
        0..10_000_000_u32,
        0..5_000_u16,
    )
        .prop_map(
            |(provider, model, error_type, seconds, nano_usd, output_tokens)| Attempt {
                provider,
                model,
                error_type,
                seconds,
                nano_usd,
                output_tokens,
                collected: Timestamp::EPOCH,
            },
        )
}

/// Attempts in the order of their collections, with the time that each collection takes.
fn history() -> impl Strategy<Value = Vec<(Duration, Vec<Attempt>)>> {
    let time = prop_oneof![4 => 1..15_u64, 1 => 60..2_000_u64].prop_map(Duration::from_secs);
    prop::collection::vec((time, prop::collection::vec(attempt(), 0..8)), 1..60)
}

fn play(bench: &mut Bench, history: &[(Duration, Vec<Attempt>)]) -> Vec<Attempt> {
    let mut oracle = Vec::new();
    for (time, attempts) in history {
        for attempt in attempts {
            let provider = (GEN_AI_PROVIDER_NAME, attempt.provider);
            let model = (GEN_AI_REQUEST_MODEL, attempt.model);
            let labels = [provider, model];
            let duration = match attempt.error_type {
                // In another order than the rest, as somebody else may record it.
                Some(error) => key(
                    GEN_AI_OPERATION_DURATION,
                    [(ERROR_TYPE, error), model, provider],
                ),
                None => key(GEN_AI_OPERATION_DURATION, labels),
            };
            bench.record(duration, attempt.seconds);
            bench.record(
                key(GEN_AI_TIME_TO_FIRST_CHUNK, labels),
                attempt.seconds / 4.0,
            );
            bench.add(key(COST, labels), f64::from(attempt.nano_usd) / 1e9);
            let tokens = [provider, model, (GEN_AI_TOKEN_TYPE, TOKEN_OUTPUT)];
            bench.record(
                key(GEN_AI_TOKEN_USAGE, tokens),
                f64::from(attempt.output_tokens),
            );
        }
        bench.collect_after(*time);
        let collected = |attempt: &Attempt| Attempt {
            collected: bench.now,
            ..attempt.clone()
        };
        oracle.extend(attempts.iter().map(collected));
    }
    oracle
}

fn assert_close(found: Option<f64>, expected: f64, relative: f64) {
    let found = found.unwrap();
    assert!(
        (found - expected).abs() <= expected.abs() * relative,
        "{found} for {expected}"
    );
}

fn nearest_rank(mut values: Vec<f64>, q: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((q * values.len() as f64).ceil() as usize).max(1) - 1]
}

fn assert_stats(stats: &PerformanceStats, attempts: &[&Attempt], error: f64) {
    let count = |wanted: fn(&&&Attempt) -> bool| attempts.iter().filter(wanted).count() as u64;
    assert_eq!(stats.total_operations, attempts.len() as u64);
    assert_eq!(stats.failed_operations, count(|a| a.error_type.is_some()));
    assert_eq!(
        stats.successful_operations,
        count(|a| a.error_type.is_none())
    );
    if attempts.is_empty() {
        assert_eq!(*stats, PerformanceStats::default());
        return;
    }
    let ms: Vec<f64> = attempts
        .iter()
        .map(|attempt| attempt.seconds * 1e3)
        .collect();
    assert_close(
        stats.avg_duration_ms,
        ms.iter().sum::<f64>() / ms.len() as f64,
        1e-9,
    );
    assert_close(stats.min_duration_ms, nearest_rank(ms.clone(), 0.0), 1e-12);
    assert_close(stats.max_duration_ms, nearest_rank(ms.clone(), 1.0), 1e-12);
    for (found, q) in [
        (stats.p50_duration_ms, 0.5),
        (stats.p95_duration_ms, 0.95),
        (stats.p99_duration_ms, 0.99),
        (stats.p99_9_duration_ms, 0.999),
    ] {
        assert_close(found, nearest_rank(ms.clone(), q), error + 1e-9);
    }
}

fn assert_provider(provider: &ProviderPerformance, attempts: &[&Attempt], error: f64) {
    let count = |wanted: fn(&Attempt) -> bool| {
        attempts.iter().filter(|attempt| wanted(attempt)).count() as u64
    };
    let failed_with = |types: &[&str]| {
        let is = |a: &&&Attempt| a.error_type.is_some_and(|error| types.contains(&error));
        attempts.iter().filter(is).count() as u64
    };
    assert_eq!(provider.total_requests, attempts.len() as u64);
    assert_eq!(
        provider.successful_requests,
        count(|a| a.error_type.is_none())
    );
    assert_eq!(provider.timeout_requests, failed_with(&["timeout", "504"]));
    assert_eq!(
        provider.rate_limited_requests,
        failed_with(&["rate_limited", "429"])
    );
    let own = attempts.len() as u64 - failed_with(&["400", "cancelled"]);
    let own_rate = (own > 0).then(|| provider.successful_requests as f64 * 100.0 / own as f64);
    assert_eq!(provider.provider_success_rate_percent, own_rate);
    let nano: u64 = attempts
        .iter()
        .map(|attempt| u64::from(attempt.nano_usd))
        .sum();
    assert_eq!((provider.total_cost * 1e9).round() as u64, nano);
    for (model, stats) in &provider.model_stats {
        let of_model: Vec<&Attempt> = attempts
            .iter()
            .copied()
            .filter(|attempt| attempt.model == model)
            .collect();
        assert_stats(&stats.stats, &of_model, error);
        let tokens: u64 = of_model
            .iter()
            .map(|attempt| u64::from(attempt.output_tokens))
            .sum();
        assert_eq!(stats.output_tokens, tokens);
        let first: Vec<f64> = of_model
            .iter()
            .map(|attempt| attempt.seconds * 250.0)
            .collect();
        let found = stats.first_token.p95_time_to_first_token_ms;
        assert_close(found, nearest_rank(first, 0.95), error + 1e-9);
    }
    let errors: u64 = provider.error_type_counts.values().sum();
    assert_eq!(errors, provider.failed_requests);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn providers_are_what_the_oracle_says_in_any_window(
        history in history(), seconds in 1..4_000_u64, max_bytes in prop_oneof![Just(0), Just(1 << 22)],
    ) {
        let mut bench = Bench::with(crate::core::window::WindowConfig {
            max_bytes,
            ..Default::default()
        });
        let oracle = play(&mut bench, &history);
        let snapshot = bench.snapshot();
        for window in [Window::SinceStart, Window::Last(Duration::from_secs(seconds))] {
            let view = providers(&snapshot, window, None).unwrap();
            let coverage = &view.coverage;
            let inside: Vec<&Attempt> = oracle
                .iter()
                .filter(|attempt| {
                    let at = attempt.collected.as_unix_seconds();
                    at > coverage.window_start && at <= coverage.window_end
                })
                .collect();
            let length = coverage.window_end - coverage.window_start;
            prop_assert!((length - coverage.window_seconds).abs() < 1e-5);
            let error = coverage.quantile_error_percent.map_or(0.0, |percent| percent / 100.0);
            let bound = if max_bytes == 0 { 0.0217 } else { 0.00542 };
            prop_assert!(error < bound);
            let names: BTreeSet<&str> = inside.iter().map(|attempt| attempt.provider).collect();
            prop_assert!(view.providers.keys().map(String::as_str).eq(names));
            prop_assert_eq!(view.providers_count, view.providers.len());
            for (name, provider) in &view.providers {
                let of_provider: Vec<&Attempt> =
                    inside.iter().copied().filter(|attempt| attempt.provider == name).collect();
                assert_provider(provider, &of_provider, error);
                let one = providers(&snapshot, window, Some(name)).unwrap();
                prop_assert_eq!(&one.providers[name], provider);
                prop_assert_eq!(one.providers_count, 1);
            }
            let nano: u64 = inside.iter().map(|attempt| u64::from(attempt.nano_usd)).sum();
            prop_assert_eq!((view.summary.total_estimated_cost * 1e9).round() as u64, nano);
            prop_assert_eq!(view.summary.total_requests, inside.len() as u64);
        }
    }
}

fn operation(bench: &mut Bench, method: &str, status: &str, error: Option<&str>, seconds: f64) {
    let method = (HTTP_REQUEST_METHOD, method);
    let route = (HTTP_ROUTE, "/anthropic");
    let status = (HTTP_RESPONSE_STATUS_CODE, status);
    let duration = match error {
        Some(error) => [method, route, status, (ERROR_TYPE, error)]
            .into_iter()
            .collect(),
        None => vec![method, route, status],
    };
    let labels = duration
        .into_iter()
        .map(|(k, v)| (Arc::from(k), Arc::from(v)));
    let mut series = key(HTTP_SERVER_REQUEST_DURATION, []);
    series.labels = crate::core::series::Labels::new(labels);
    bench.record(series, seconds);
    bench.record(key(HTTP_SERVER_REQUEST_BODY_SIZE, [method, route]), 1_000.0);
    bench.record(
        key(HTTP_SERVER_RESPONSE_BODY_SIZE, [method, route]),
        seconds * 1e3,
    );
}

#[test]
fn the_guides_endpoint() {
    let mut bench = Bench::new(DAY);
    for n in 0..2_000 {
        let (status, error) = match n {
            0..45 => ("400", None),
            45..70 => ("500", Some("500")),
            _ => ("200", None),
        };
        operation(&mut bench, "POST", status, error, 1.0 + f64::from(n % 2));
    }
    bench.collect_after(MINUTE);
    let view = endpoints(&bench.snapshot(), Window::Last(MINUTE), None).unwrap();
    let json = serde_json::to_value(&view).unwrap();
    let endpoint = &json["endpoints"]["/anthropic"];
    assert_eq!(json["endpoints_count"], 1);
    assert_eq!(endpoint["endpoint_path"], "/anthropic");
    assert_eq!(endpoint["method"], "POST");
    let counts = json!({"200": 1930, "400": 45, "500": 25});
    assert_eq!(endpoint["status_code_counts"], counts);
    assert_eq!(endpoint["error_type_counts"], json!({"500": 25}));
    assert_eq!(endpoint["stats"]["success_rate_percent"], 96.5);
    assert_eq!(endpoint["stats"]["failed_operations"], 70);
    assert_eq!(endpoint["stats"]["avg_duration_ms"], 1_500.0);
    assert_eq!(endpoint["stats"]["operations_per_second"], 2_000.0 / 60.0);
    assert_eq!(endpoint["stats"]["errors_per_second"], 70.0 / 60.0);
    assert_eq!(endpoint["requests_per_minute"], 2_000.0);
    assert_eq!(endpoint["last_access"], bench.now.as_unix_seconds());
    let sizes = json!({"avg_request_size": 1_000.0, "avg_response_size": 1_500.0});
    assert_eq!(endpoint["parameter_averages"], sizes);
    assert_eq!(endpoint["methods"]["POST"]["status_code_counts"], counts);
    assert_eq!(json["aggregated"]["total_operations"], 2_000);
    assert_eq!(json["aggregated"]["success_rate_percent"], 96.5);
    assert_eq!(json["aggregated"]["average_duration_ms"], 1_500.0);
    assert_eq!(json["aggregated"]["status_code_distribution"], counts);
}

#[test]
fn an_endpoint_with_several_methods_shows_each_and_their_sum() {
    let mut bench = Bench::new(DAY);
    operation(&mut bench, "GET", "200", None, 1.0);
    operation(&mut bench, "POST", "200", None, 3.0);
    operation(&mut bench, "POST", "200", Some("cancelled"), 3.0);
    bench.collect_after(MINUTE);
    let view = endpoints(&bench.snapshot(), Window::SinceStart, Some("/anthropic")).unwrap();
    let endpoint = &view.endpoints["/anthropic"];
    assert_eq!(endpoint.method.as_deref(), Some("GET, POST"));
    assert_eq!(endpoint.all.stats.total_operations, 3);
    assert_eq!(endpoint.methods["GET"].stats.total_operations, 1);
    assert_eq!(endpoint.methods["POST"].stats.failed_operations, 1);
    assert_eq!(
        endpoint.methods["POST"].stats.avg_duration_ms,
        Some(3_000.0)
    );
    let unknown = endpoints(&bench.snapshot(), Window::SinceStart, Some("/nowhere"));
    assert_eq!(unknown, Err(ViewError::UnknownEndpoint));
}

#[test]
fn what_is_configured_is_shown_before_its_first_request_with_zeros_and_nulls() {
    let mut bench = Bench::new(DAY);
    bench.configured.providers = vec![("zai".into(), vec!["glm".into()])];
    bench.configured.endpoints = vec!["/v1".into()];
    for window in [Window::SinceStart, Window::Last(MINUTE)] {
        let view = serde_json::to_value(report(&bench.snapshot(), window).unwrap()).unwrap();
        let provider = &view["provider_performance"]["zai"];
        let model = &provider["model_stats"]["glm"];
        let endpoint = &view["endpoint_performance"]["/v1"];
        for (zero, null) in [
            (
                &provider["total_requests"],
                &provider["success_rate_percent"],
            ),
            (
                &provider["total_requests"],
                &provider["provider_success_rate_percent"],
            ),
            (
                &provider["failed_requests"],
                &provider["p99_9_response_time_ms"],
            ),
            (&provider["failed_requests"], &provider["healthy"]),
            (&provider["failed_requests"], &provider["cost_per_request"]),
            (&model["total_operations"], &model["p95_duration_ms"]),
            (&model["input_tokens"], &model["avg_time_to_first_token_ms"]),
            (
                &endpoint["stats"]["total_operations"],
                &endpoint["stats"]["operations_per_second"],
            ),
            (
                &endpoint["stats"]["failed_operations"],
                &endpoint["stats"]["last_update"],
            ),
            (
                &view["aggregated"]["total_operations"],
                &view["aggregated"]["average_duration_ms"],
            ),
            (
                &view["summary"]["total_requests"],
                &view["summary"]["average_cost_per_request"],
            ),
            (&view["rate_limit_hits"], &view["cache"]["hit_rate_percent"]),
        ] {
            assert_eq!((zero, null), (&json!(0), &Json::Null));
        }
        assert_eq!(view["quantile_error_percent"], Json::Null);
        assert_eq!(provider["total_cost"], 0.0);
        assert_eq!(endpoint["method"], Json::Null);
    }
}

fn attempts(bench: &mut Bench, provider: &str, error: Option<&str>, count: usize) {
    let provider = (GEN_AI_PROVIDER_NAME, provider);
    let series = match error {
        Some(error) => key(GEN_AI_OPERATION_DURATION, [provider, (ERROR_TYPE, error)]),
        None => key(GEN_AI_OPERATION_DURATION, [provider]),
    };
    (0..count).for_each(|_| bench.record(series.clone(), 1.0));
}

#[test]
fn an_idle_provider_leaves_the_windows_but_stays_known() {
    let mut bench = Bench::new(DAY);
    attempts(&mut bench, "zai", None, 3);
    bench.collect_after(MINUTE);
    let at = bench.now.as_unix_seconds();
    (0..30).for_each(|_| bench.collect_after(MINUTE));
    let snapshot = bench.snapshot();
    let last = Window::Last(MINUTE);
    assert_eq!(providers(&snapshot, last, None).unwrap().providers_count, 0);
    let asked_for = &providers(&snapshot, last, Some("zai")).unwrap().providers["zai"];
    assert_eq!(
        (asked_for.total_requests, asked_for.healthy),
        (0, Some(true))
    );
    assert_eq!(
        (asked_for.last_success, asked_for.last_failure),
        (Some(at), None)
    );
    let all = &providers(&snapshot, Window::SinceStart, None)
        .unwrap()
        .providers["zai"];
    assert_eq!(all.total_requests, 3);
    // It did something, but not in the last minute.
    let nobody = providers(&snapshot, last, Some("nobody"));
    assert_eq!(nobody, Err(ViewError::UnknownProvider));
}

#[test]
fn health_is_judged_by_the_last_five_minutes_and_not_by_the_callers_faults() {
    let healthy = |bench: &Bench| {
        let view = providers(&bench.snapshot(), Window::SinceStart, None).unwrap();
        view.providers["zai"].healthy
    };
    let mut bench = Bench::new(DAY);
    attempts(&mut bench, "zai", Some("400"), 90);
    attempts(&mut bench, "zai", Some("500"), 2);
    attempts(&mut bench, "zai", None, 8);
    bench.collect_after(MINUTE);
    assert_eq!(healthy(&bench), Some(true));
    attempts(&mut bench, "zai", Some("timeout"), 1);
    bench.collect_after(MINUTE);
    assert_eq!(healthy(&bench), Some(false));
    // The last attempt was not good, whenever it was.
    (0..20).for_each(|_| bench.collect_after(MINUTE));
    assert_eq!(healthy(&bench), Some(false));
    attempts(&mut bench, "zai", None, 1);
    bench.collect_after(MINUTE);
    assert_eq!(healthy(&bench), Some(true));
    // The last attempt was not good, but for a fault of the caller's.
    attempts(&mut bench, "zai", Some("400"), 1);
    (0..20).for_each(|_| bench.collect_after(MINUTE));
    assert_eq!(healthy(&bench), Some(true));
}

#[test]
fn of_two_scopes_the_preferred_one_is_used_and_named() {
    let mut bench = Bench::new(DAY);
    let route = (HTTP_ROUTE, "/v1");
    let foreign = "opentelemetry-instrumentation-tower";
    let theirs = |status| {
        // The order is theirs, as is a label that we do not know, and no `error.type`.
        let labels = [
            (HTTP_RESPONSE_STATUS_CODE, status),
            ("url.scheme", "http"),
            route,
        ];
        key_of(foreign, HTTP_SERVER_REQUEST_DURATION, labels)
    };
    bench.record(theirs("200"), 0.5);
    bench.record(theirs("503"), 0.5);
    bench.collect_after(MINUTE);
    let view = endpoints(&bench.snapshot(), Window::SinceStart, None).unwrap();
    assert_eq!(view.coverage.source[HTTP_SERVER_REQUEST_DURATION], foreign);
    let stats = &view.endpoints["/v1"].all.stats;
    assert_eq!((stats.total_operations, stats.failed_operations), (2, 1));
    assert_eq!(
        view.endpoints["/v1"].methods.keys().collect::<Vec<_>>(),
        ["_OTHER"]
    );

    bench.record(key(HTTP_SERVER_REQUEST_DURATION, [route]), 2.0);
    bench.collect_after(MINUTE);
    let view = endpoints(&bench.snapshot(), Window::SinceStart, None).unwrap();
    assert_eq!(view.coverage.source[HTTP_SERVER_REQUEST_DURATION], SCOPE);
    assert_eq!(
        view.endpoints["/v1"].all.stats.avg_duration_ms,
        Some(2_000.0)
    );
    bench.configured.preferred_scopes = vec![foreign.into(), SCOPE.into()];
    let view = endpoints(&bench.snapshot(), Window::SinceStart, None).unwrap();
    assert_eq!(view.coverage.source[HTTP_SERVER_REQUEST_DURATION], foreign);
    assert_eq!(view.endpoints["/v1"].all.stats.total_operations, 2);
}

#[test]
fn classic_histograms_in_milliseconds_are_understood_with_their_larger_error() {
    let mut bench = Bench::new(DAY);
    let bounds: Arc<[f64]> = [100.0, 200.0, 400.0].into();
    let (min, max) = (Some(50.0), Some(390.0));
    let histogram = ClassicHistogram::from_parts(bounds, [1, 8, 1, 0], 1_690.0, min, max);
    let series = key_of(
        "theirs",
        GEN_AI_OPERATION_DURATION,
        [(GEN_AI_SYSTEM, "openai")],
    );
    bench.set(series, Value::Classic(histogram));
    bench.unit("theirs", GEN_AI_OPERATION_DURATION, "ms");
    bench.collect_after(MINUTE);
    for window in [Window::SinceStart, Window::Last(MINUTE)] {
        let view = providers(&bench.snapshot(), window, None).unwrap();
        let provider = &view.providers["openai"];
        assert_eq!(provider.average_response_time_ms, Some(169.0));
        assert_eq!(provider.p50_response_time_ms, Some(150.0));
        assert_eq!(provider.p99_response_time_ms, Some(390.0));
        // 150 of a bucket from 100 to 200 may be off by a half of 100.
        assert_eq!(view.coverage.quantile_error_percent, Some(50.0));
    }
}

#[test]
fn components_show_each_operation_and_their_sum() {
    let mut bench = Bench::new(DAY);
    for (operation, error, seconds) in [("parse", None, 1.0), ("route", Some("internal"), 3.0)] {
        let labels = [(COMPONENT, "router"), (OPERATION, operation)];
        let series = match error {
            Some(error) => {
                let [component, operation] = labels;
                key(
                    COMPONENT_DURATION,
                    [component, operation, (ERROR_TYPE, error)],
                )
            }
            None => key(COMPONENT_DURATION, labels),
        };
        bench.record(series, seconds);
    }
    bench.collect_after(MINUTE);
    let view = components(&bench.snapshot(), Window::Last(MINUTE)).unwrap();
    let router = &view.components["router"];
    assert_eq!(router.stats.total_operations, 2);
    assert_eq!(router.stats.success_rate_percent, Some(50.0));
    assert_eq!(router.operations["parse"].failed_operations, 0);
    assert_eq!(router.operations["route"].max_duration_ms, Some(3_000.0));
}

#[test]
fn the_report_holds_everything_and_real_time_the_newest_events() {
    let mut bench = Bench::new(DAY);
    attempts(&mut bench, "zai", None, 4);
    operation(&mut bench, "POST", "200", None, 1.0);
    bench.record(key(COMPONENT_DURATION, [(COMPONENT, "cache")]), 0.001);
    bench.add(key(CACHE_RESULTS, [(CACHE_RESULT, CACHE_HIT)]), 3.0);
    bench.add(key(CACHE_RESULTS, [(CACHE_RESULT, CACHE_MISS)]), 1.0);
    bench.add(key(RATE_LIMIT_HITS, []), 2.0);
    bench.add(key(TIMEOUTS, []), 5.0);
    let failover = [
        (FAILOVER_FROM, "zai"),
        (FAILOVER_TO, "cerebras"),
        (FAILOVER_REASON, "timeout"),
    ];
    bench.add(key(FAILOVERS, failover), 1.0);
    bench.collect_after(MINUTE);
    let mut snapshot = bench.snapshot();
    let detail = AlertDetail {
        rule: "slow".into(),
        metric: "response_time_ms".into(),
        scope: "provider zai".into(),
        severity: Severity::Warning,
        state: AlertState::Firing,
        value: Some(2_500.0),
        comparison: Some(">"),
        threshold: Some(2_000.0),
        since: 1.0,
        message: "something".into(),
        labels: BTreeMap::new(),
    };
    let pending = AlertDetail {
        state: AlertState::Pending,
        ..detail.clone()
    };
    snapshot.alerts = Arc::new(Alerts {
        details: vec![detail, pending],
        system_health: SystemHealth::Degraded,
        ..Alerts::default()
    });
    let view = report(&snapshot, Window::Last(MINUTE)).unwrap();
    assert_eq!(view.uptime_seconds, 60.0);
    assert_eq!(
        (view.cache.hits, view.cache.hit_rate_percent),
        (3, Some(75.0))
    );
    assert_eq!(
        (view.rate_limit_hits, view.timeouts, view.active_alerts),
        (2, 5, 1)
    );
    let failovers = json!([{"from": "zai", "to": "cerebras", "reason": "timeout", "count": 1}]);
    assert_eq!(serde_json::to_value(&view.failovers).unwrap(), failovers);
    assert_eq!(view.summary.total_requests, 4);
    assert_eq!(view.aggregated.total_operations, 1);
    assert_eq!(
        view.component_performance["cache"].stats.total_operations,
        1
    );

    let view = serde_json::to_value(real_time(&snapshot, Window::Last(MINUTE)).unwrap()).unwrap();
    assert_eq!(view["timestamp"], bench.now.as_unix_seconds() as u64);
    assert_eq!(view["monitoring_active"], true);
    assert_eq!(view["active_alerts"], 1);
    assert_eq!(view["alerts"], json!(["[warning] something"]));
    assert_eq!(view["provider_performance"]["zai"]["total_requests"], 4);
    assert_eq!(
        view["endpoint_performance"]["/anthropic"]["stats"]["total_operations"],
        1
    );
    assert!(view["memory_metrics"]["heap_used_mb"].is_null());
    assert_eq!(view["recent_events"], json!([]));
}

#[test]
fn a_window_that_is_not_kept_is_the_callers_error() {
    let bench = Bench::new(MINUTE * 10);
    let snapshot = bench.snapshot();
    let (asked, retention) = (MINUTE * 11, MINUTE * 10);
    let too_long = report(&snapshot, Window::Last(asked)).unwrap_err();
    assert_eq!(too_long, ViewError::WindowTooLong { asked, retention });
    assert_eq!(
        too_long.to_string(),
        "the window, 660s, is longer than what is kept: at most 600s"
    );
    assert!(report(&snapshot, Window::Last(retention)).is_ok());
    let empty = real_time(&snapshot, Window::Last(Duration::ZERO));
    assert_eq!(empty, Err(ViewError::WindowEmpty));
}

#[test]
fn money_above_millions_keeps_its_nanos() {
    let mut bench = Bench::new(DAY);
    let series = key(COST, [(GEN_AI_PROVIDER_NAME, "zai")]);
    bench.add(series.clone(), 4_000_000.0);
    bench.collect_after(MINUTE);
    bench.add(series, 0.000_000_001);
    bench.collect_after(MINUTE);
    let view = providers(&bench.snapshot(), Window::SinceStart, None).unwrap();
    assert_eq!(view.summary.total_estimated_cost, 4_000_000.000_000_001);
}
