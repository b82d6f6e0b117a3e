//! `/performance/history` over real HTTP.

#![cfg(feature = "server")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may")]

use aimux_otel::{HistoryMetric, HistoryQuery, HistoryScope, PerformanceMonitor};
use serde_json::Value;
use std::time::Duration;

/// A monitor with three attempts that succeeded and one that failed, and its address.
fn serving() -> (PerformanceMonitor, String) {
    let monitor = PerformanceMonitor::builder()
        .provider("cerebras", ["llama3.1-70b"])
        .endpoint("/v1/{id}")
        .collection_interval(Duration::from_secs(3_600))
        .serve("127.0.0.1:0".parse().unwrap())
        .build()
        .unwrap();
    for (ms, error) in [(800, ""), (1_200, ""), (400, "503"), (100, "")] {
        let (took, success) = (Duration::from_millis(ms), error.is_empty());
        monitor.record_provider_request("cerebras", "llama3.1-70b", took, success, error, 0.25);
    }
    monitor.collect();
    let base = format!(
        "http://{}/performance/history",
        monitor.local_addr().unwrap()
    );
    (monitor, base)
}

async fn asked(url: String) -> (u16, Value) {
    let answer = reqwest::get(url).await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn a_figure_is_told_over_time() {
    let (monitor, base) = serving();
    let scope = "model:cerebras/llama3.1-70b";
    let value = async |metric: &str| {
        let (status, view) = asked(format!("{base}?metric={metric}&scope={scope}")).await;
        assert_eq!(status, 200, "{view}");
        view
    };
    let view = value("max_response_time_ms").await;
    assert_eq!(view["metric"], "max_response_time_ms");
    assert_eq!(view["unit"], "ms");
    assert_eq!(view["scope"], scope);
    assert_eq!(view["step_seconds"], 30.0);
    let points = view["points"].as_array().unwrap();
    assert_eq!(points[0]["value"], 1_200.0);
    assert_eq!(points[0]["samples"], 4);
    assert_eq!(points[0]["start"], view["window_start"]);
    assert_eq!(points.last().unwrap()["end"], view["window_end"]);
    assert_eq!(view["quantile_error_percent"], Value::Null);

    let p95 = value("response_time_ms").await;
    assert_eq!(p95["metric"], "p95_response_time_ms");
    assert!(p95["quantile_error_percent"].as_f64().unwrap() < 0.5416);
    assert_eq!(
        value("error_rate_percent").await["points"][0]["value"],
        25.0
    );
    assert_eq!(value("total_cost").await["points"][0]["value"], 1.0);
    assert_eq!(value("total_cost").await["points"][0]["samples"], 4);

    let query = HistoryQuery::new(HistoryMetric::TotalRequests)
        .scope(HistoryScope::Provider("cerebras".to_owned()))
        .window(Duration::from_secs(60));
    let points = monitor.history(&query).unwrap().points;
    assert_eq!(points.iter().map(|point| point.samples).sum::<u64>(), 4);
}

#[tokio::test]
async fn without_parameters_it_is_the_gateways_throughput() {
    let (_monitor, base) = serving();
    let (status, view) = asked(base).await;
    assert_eq!(
        (status, &view["metric"]),
        (200, &"requests_per_second".into())
    );
    assert_eq!(view["scope"], "gateway");
}

#[tokio::test]
async fn bad_input_is_named_with_what_is_allowed() {
    let (_monitor, base) = serving();
    for (query, status, field, allowed) in [
        ("metric=nothing", 400, "metric", "p99_response_time_ms"),
        ("metric=", 400, "metric", "response_time_ms"),
        (
            "metric=avg_request_size&scope=providers",
            400,
            "metric",
            "total_cost",
        ),
        ("scope=nothing", 400, "scope", "provider:<name>"),
        ("scope=", 400, "scope", "gateway"),
        ("scope=provider:", 400, "scope", "gateway"),
        ("scope=provider:nobody", 404, "scope", "provider:cerebras"),
        (
            "scope=model:cerebras/none",
            404,
            "scope",
            "model:cerebras/llama3.1-70b",
        ),
        ("scope=endpoint:/none", 404, "scope", "endpoint:/v1/{id}"),
        ("step=0s", 400, "step", "<n>m"),
        ("step=5", 400, "step", "<n>m"),
        ("step=2d", 400, "step", "<n>m"),
        ("window=1d&step=43s", 400, "step", "<n>m"),
        ("window=25h", 400, "window", "<n>m"),
        ("until=5m", 400, "until", "step"),
    ] {
        let (found, problem) = asked(format!("{base}?{query}")).await;
        assert_eq!(
            (found, &problem["field"]),
            (status, &field.into()),
            "{query}: {problem}"
        );
        let names = problem["allowed"].as_array().unwrap();
        assert!(names.contains(&allowed.into()), "{query}: {problem}");
    }
    let (_, fine) = asked(format!("{base}?window=1d&step=43s")).await;
    let detail = fine["detail"].as_str().unwrap();
    assert!(detail.contains("44s"), "{detail}");
}
