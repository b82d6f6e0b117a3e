//! Every JSON answer of the guide, field by field, against what a running monitor answers.
//!
//! The literals are the guide's, with its own values: each of their fields is there, of the same
//! JSON type, and where the traffic is known the value is the same too.

#![cfg(feature = "server")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]

use aimux_otel::{
    AlertMetric, AlertRule, Comparison, PerformanceEvent, PerformanceEventType, PerformanceMonitor,
    Severity,
};
use serde_json::{Value, json};
use std::time::Duration;

/// The guide's routes that answer reads, with what they answer there.
fn guide() -> [(&'static str, Value); 6] {
    let real_time = json!({
        "timestamp": 1699999999,
        "monitoring_active": true,
        "memory_metrics": {
            "heap_used_mb": 245,
            "memory_pressure_percent": 15.2,
            "total_process_mb": 512
        },
        "provider_performance": { "cerebras": {}, "zai": {} },
        "active_alerts": 2,
        "alerts": ["High memory pressure detected", "Response time degradation"]
    });
    let providers = json!({
        "timestamp": 1699999999,
        "providers_count": 2,
        "providers": {
            "cerebras": {
                "provider_name": "cerebras",
                "total_requests": 1250,
                "successful_requests": 1185,
                "success_rate_percent": 94.8,
                "average_response_time_ms": 850.5,
                "model_stats": {
                    "llama3.1-70b": {
                        "total_operations": 800,
                        "avg_duration_ms": 820.3,
                        "p95_duration_ms": 1200.0
                    }
                }
            }
        },
        "summary": {
            "total_requests": 1250,
            "success_rate_percent": 94.8,
            "total_estimated_cost": 5.25
        }
    });
    let endpoints = json!({
        "timestamp": 1699999999,
        "endpoints_count": 5,
        "endpoints": {
            "/anthropic": {
                "endpoint_path": "/anthropic",
                "method": "POST",
                "stats": {
                    "total_operations": 2000,
                    "success_rate_percent": 96.5,
                    "avg_duration_ms": 1250.3,
                    "p95_duration_ms": 2000.0
                },
                "status_code_counts": { "200": 1930, "400": 45, "500": 25 }
            }
        },
        "aggregated": {
            "total_operations": 2000,
            "success_rate_percent": 96.5,
            "average_duration_ms": 1250.3,
            "status_code_distribution": { "200": 1930, "400": 45, "500": 25 }
        }
    });
    let memory = json!({
        "timestamp": 1699999999,
        "current": {
            "heap_used_mb": 245,
            "stack_used_mb": 32,
            "anonymous_mb": 180,
            "file_cache_mb": 45,
            "memory_pressure_percent": 15.2,
            "page_faults": 1250
        },
        "trends": {
            "hours_analyzed": 24,
            "average_heap_mb": 220.5,
            "min_heap_mb": 185.0,
            "max_heap_mb": 285.0,
            "pressure_trend": "stable"
        },
        "alerts": []
    });
    let alerts = json!({
        "timestamp": 1699999999,
        "active_alerts_count": 2,
        "system_health": "degraded",
        "alerts": [
            "[warning] High memory pressure detected (85.5%)",
            "[warning] Response time degradation detected for provider cerebras"
        ]
    });
    let config = json!({ "alert_thresholds": guide_change()["alert_thresholds"] });
    [
        ("/performance/real-time", real_time),
        ("/performance/providers", providers),
        ("/performance/endpoints", endpoints),
        ("/performance/memory", memory),
        ("/performance/alerts", alerts),
        ("/performance/config", config),
    ]
}

/// What the guide posts to `/performance/config`.
fn guide_change() -> Value {
    json!({
        "alert_thresholds": [
            {
                "metric": "memory_pressure",
                "threshold": 80.0,
                "comparison": ">",
                "severity": "warning"
            },
            {
                "metric": "response_time_ms",
                "threshold": 2000.0,
                "comparison": ">",
                "severity": "critical"
            }
        ]
    })
}

/// Fields that the guide does not show and the contract has, by route.
const MORE: [(&str, &[&str]); 9] = [
    (
        "/performance/real-time",
        &[
            "/endpoint_performance/~1anthropic/stats",
            "/recent_events/0/type",
            "/collected_at",
        ],
    ),
    (
        "/performance/providers",
        &[
            "/window_seconds",
            "/collected_at",
            "/quantile_error_percent",
            "/providers/cerebras/failed_requests",
            "/providers/cerebras/timeout_requests",
            "/providers/cerebras/rate_limited_requests",
            "/providers/cerebras/provider_success_rate_percent",
            "/providers/cerebras/p50_response_time_ms",
            "/providers/cerebras/p95_response_time_ms",
            "/providers/cerebras/p99_response_time_ms",
            "/providers/cerebras/cost_per_request",
            "/providers/cerebras/total_cost",
            "/providers/cerebras/healthy",
            "/providers/cerebras/last_success",
            "/providers/cerebras/last_failure",
            "/providers/cerebras/model_stats/llama3.1-70b/successful_operations",
            "/providers/cerebras/model_stats/llama3.1-70b/failed_operations",
            "/providers/cerebras/model_stats/llama3.1-70b/success_rate_percent",
            "/providers/cerebras/model_stats/llama3.1-70b/min_duration_ms",
            "/providers/cerebras/model_stats/llama3.1-70b/max_duration_ms",
            "/providers/cerebras/model_stats/llama3.1-70b/p50_duration_ms",
            "/providers/cerebras/model_stats/llama3.1-70b/p99_duration_ms",
            "/providers/cerebras/model_stats/llama3.1-70b/operations_per_second",
            "/providers/cerebras/model_stats/llama3.1-70b/errors_per_second",
            "/providers/cerebras/model_stats/llama3.1-70b/last_update",
            "/providers/cerebras/model_stats/llama3.1-70b/input_tokens",
            "/providers/cerebras/model_stats/llama3.1-70b/output_tokens",
            "/providers/cerebras/model_stats/llama3.1-70b/total_cost",
            "/providers/cerebras/model_stats/llama3.1-70b/p95_time_to_first_token_ms",
            "/summary/successful_requests",
            "/summary/failed_requests",
            "/summary/average_cost_per_request",
        ],
    ),
    (
        "/performance/endpoints",
        &[
            "/endpoints/~1anthropic/error_type_counts/500",
            "/endpoints/~1anthropic/parameter_averages/avg_request_size",
            "/endpoints/~1anthropic/parameter_averages/avg_response_size",
            "/endpoints/~1anthropic/last_access",
            "/endpoints/~1anthropic/requests_per_minute",
            "/endpoints/~1anthropic/methods/POST/stats/p99_duration_ms",
        ],
    ),
    (
        "/performance/components",
        &[
            "/components/router/stats/p95_duration_ms",
            "/components/router/operations/parse",
        ],
    ),
    (
        "/performance/memory",
        &[
            "/current/heap_free_mb",
            "/current/shared_mb",
            "/current/total_process_mb",
            "/current/major_page_faults",
            "/cpu/cpu_usage_percent",
            "/network/received_bytes",
        ],
    ),
    (
        "/performance/alerts",
        &[
            "/details/0/rule",
            "/details/0/scope",
            "/details/0/value",
            "/details/0/threshold",
            "/details/0/state",
            "/details/0/since",
        ],
    ),
    (
        "/performance/config",
        &[
            "/monitoring_active",
            "/collection_interval_seconds",
            "/retention_seconds",
            "/events",
            "/limits/experiments",
        ],
    ),
    (
        "/performance/history?metric=total_requests",
        &[
            "/metric",
            "/unit",
            "/scope",
            "/step_seconds",
            "/points/0/start",
            "/points/0/end",
        ],
    ),
    (
        "/performance/summary",
        &[
            "/availability/availability_percent",
            "/availability/uptime_seconds",
            "/response_time/operations/average_response_time_ms",
            "/response_time/attempts/p95_response_time_ms",
            "/throughput/requests_per_second",
            "/throughput/requests_per_minute",
            "/error_rate/error_rate_percent",
            "/resources/cpu/cpu_usage_percent",
            "/resources/memory/memory_pressure_percent",
            "/resources/network/received_bytes",
            "/providers/cerebras/healthy",
            "/providers/cerebras/p95_response_time_ms",
            "/cost/total_cost",
            "/active_alerts",
            "/system_health",
            "/monitor/offered",
            "/monitor/counted",
            "/monitor/dropped/shutdown",
            "/monitor/labels_refused/model",
            "/monitor/series",
            "/monitor/series_folded",
            "/monitor/window_bytes",
        ],
    ),
];

/// One call to a provider, in nanoseconds.
fn call(monitor: &PerformanceMonitor, model: &str, nanos: u64, error: &str) {
    let took = Duration::from_nanos(nanos);
    monitor.record_provider_request("cerebras", model, took, error.is_empty(), error, 0.0042);
}

/// The guide's traffic: 1,185 of 1,250 calls to a provider succeed, 800 of which are for one model;
/// 1,930 of 2,000 operations. Of each, as many take as long as the guide's percentile as it takes
/// to make it that, and the rest as long as makes the average the guide's.
fn traffic(monitor: &PerformanceMonitor) {
    let error = |n: u64| match n {
        0..1_185 => "",
        1_185..1_200 => "timeout",
        1_200..1_230 => "429",
        _ => "400",
    };
    for n in 0..1_250 {
        match n {
            0..759 => call(monitor, "llama3.1-70b", 799_789_196, error(n)),
            759..800 => call(monitor, "llama3.1-70b", 1_200_000_000, error(n)),
            _ => call(monitor, "llama3.1-8b", 904_188_889, error(n)),
        }
    }
    for n in 0..2_000 {
        let (status, nanos) = match n {
            0..1_899 => ("200", 1_210_426_540),
            1_899..1_930 => ("200", 2_000_000_000),
            1_930..1_975 => ("400", 2_000_000_000),
            _ => ("500", 2_000_000_000),
        };
        let event = PerformanceEvent::new("", PerformanceEventType::RequestEnd, "", "")
            .with_duration(Duration::from_nanos(nanos))
            .with_metadata("endpoint", "/anthropic")
            .with_metadata("method", "POST")
            .with_metadata("status_code", status)
            .with_metadata("request_size", "1024")
            .with_metadata("response_size", "2048");
        monitor.record_event(event);
    }
    let parsed = PerformanceEvent::new("", PerformanceEventType::RequestStart, "router", "parse");
    monitor.record_event(parsed.with_duration(Duration::from_millis(3)));
}

/// A monitor with two alerts that fire, as in the guide, once there is the traffic.
fn serving() -> (PerformanceMonitor, String) {
    let above = |metric, threshold| {
        let rule = AlertRule::new(metric, Comparison::Above, threshold, Severity::Warning);
        rule.with_min_samples(1)
    };
    let endpoints = [
        "/anthropic",
        "/v1/chat",
        "/v1/models",
        "/v1/embeddings",
        "/health",
    ];
    let mut builder = PerformanceMonitor::builder()
        .provider("cerebras", ["llama3.1-70b", "llama3.1-8b"])
        .provider("zai", ["glm-4.6"])
        .collection_interval(Duration::from_secs(3_600))
        .alert(above(AlertMetric::MemoryPressure, 0.0))
        .alert(above(AlertMetric::ResponseTimeMs, 500.0));
    for endpoint in endpoints {
        builder = builder.endpoint(endpoint);
    }
    let listen = "127.0.0.1:0".parse().unwrap();
    let monitor = builder.serve(listen).build().unwrap();
    traffic(&monitor);
    monitor.collect();
    let base = format!("http://{}", monitor.local_addr().unwrap());
    (monitor, base)
}

async fn get(base: &str, path: &str) -> Value {
    let answer = reqwest::get(format!("{base}{path}")).await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    assert_eq!(
        answer.headers()["content-type"],
        "application/json",
        "{path}"
    );
    answer.json().await.unwrap()
}

/// What of `expected` is not in `found`, or of another type, each by its path.
fn missing(path: &str, expected: &Value, found: &Value) -> Vec<String> {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => expected
            .iter()
            .flat_map(|(field, expected)| {
                let path = format!("{path}/{field}");
                match found.get(field) {
                    Some(found) => missing(&path, expected, found),
                    None => vec![format!("{path} is not there")],
                }
            })
            .collect(),
        (Value::Array(expected), Value::Array(found)) => {
            let Some(like) = expected.first() else {
                return Vec::new();
            };
            if found.len() != expected.len() {
                return vec![format!("{path} has {} of {}", found.len(), expected.len())];
            }
            let each = found.iter().enumerate();
            each.flat_map(|(n, found)| missing(&format!("{path}/{n}"), like, found))
                .collect()
        }
        (Value::Number(_), Value::Number(_))
        | (Value::String(_), Value::String(_))
        | (Value::Bool(_), Value::Bool(_)) => Vec::new(),
        _ => vec![format!("{path} is {found} and not like {expected}")],
    }
}

/// Numbers that differ by more than `relative`, where `paths` of both are the traffic's.
fn assert_same(expected: &Value, found: &Value, paths: &[&str], relative: f64) {
    for path in paths {
        let (expected, found) = (
            expected.pointer(path).unwrap(),
            found.pointer(path).unwrap(),
        );
        let same = match (expected.as_f64(), found.as_f64()) {
            (Some(expected), Some(found)) => (found - expected).abs() <= expected * relative,
            _ => expected == found,
        };
        assert!(same, "{path}: {found} for {expected}");
    }
}

/// Equal but for the last digits, which reading a number from JSON may change.
fn assert_close(found: &Value, expected: f64) {
    let found = found.as_f64().unwrap();
    assert!(
        (found - expected).abs() <= expected * 1e-12,
        "{found} for {expected}"
    );
}

#[tokio::test]
async fn each_field_of_the_guide_is_there_with_its_type() {
    let (_monitor, base) = serving();
    for (path, expected) in guide() {
        let found = get(&base, path).await;
        let missing = missing("", &expected, &found);
        assert_eq!(missing, Vec::<String>::new(), "{path}: {found:#}");
        if path != "/performance/config" {
            assert!(found["timestamp"].is_u64(), "whole seconds, at {path}");
        }
    }
}

#[tokio::test]
async fn each_field_of_the_contract_is_there() {
    let (_monitor, base) = serving();
    for (path, fields) in MORE {
        let found = get(&base, path).await;
        for field in fields {
            assert!(
                found.pointer(field).is_some(),
                "{field} of {path}: {found:#}"
            );
        }
    }
}

#[tokio::test]
async fn the_numbers_are_the_guides() {
    let (_monitor, base) = serving();
    let [_, (_, providers), (_, endpoints), _, (_, alerts), _] = guide();
    let found = get(&base, "/performance/providers").await;
    let exact = [
        "/providers_count",
        "/providers/cerebras/provider_name",
        "/providers/cerebras/total_requests",
        "/providers/cerebras/successful_requests",
        "/providers/cerebras/success_rate_percent",
        "/providers/cerebras/model_stats/llama3.1-70b/total_operations",
        "/summary/total_requests",
        "/summary/success_rate_percent",
        "/summary/total_estimated_cost",
    ];
    assert_same(&providers, &found, &exact, 0.0);
    let averages = [
        "/providers/cerebras/average_response_time_ms",
        "/providers/cerebras/model_stats/llama3.1-70b/avg_duration_ms",
    ];
    assert_same(&providers, &found, &averages, 1e-8);
    let error = found["quantile_error_percent"].as_f64().unwrap() / 100.0;
    let percentiles = ["/providers/cerebras/model_stats/llama3.1-70b/p95_duration_ms"];
    assert_same(&providers, &found, &percentiles, error);
    let cerebras = &found["providers"]["cerebras"];
    assert_eq!(cerebras["failed_requests"], 65);
    assert_eq!(cerebras["timeout_requests"], 15);
    assert_eq!(cerebras["rate_limited_requests"], 30);
    assert_eq!(
        cerebras["error_type_counts"],
        json!({"timeout": 15, "429": 30, "400": 20})
    );
    // The twenty malformed requests are not the provider's fault.
    let own = 1_185.0 * 100.0 / 1_230.0;
    assert_close(&cerebras["provider_success_rate_percent"], own);
    assert_eq!(cerebras["healthy"], true);
    assert_eq!(found["providers"]["zai"]["healthy"], Value::Null);

    let found = get(&base, "/performance/endpoints").await;
    let exact = [
        "/endpoints_count",
        "/endpoints/~1anthropic/endpoint_path",
        "/endpoints/~1anthropic/method",
        "/endpoints/~1anthropic/stats/total_operations",
        "/endpoints/~1anthropic/stats/success_rate_percent",
        "/endpoints/~1anthropic/status_code_counts",
        "/aggregated/total_operations",
        "/aggregated/success_rate_percent",
        "/aggregated/status_code_distribution",
    ];
    assert_same(&endpoints, &found, &exact, 0.0);
    let averages = [
        "/endpoints/~1anthropic/stats/avg_duration_ms",
        "/aggregated/average_duration_ms",
    ];
    assert_same(&endpoints, &found, &averages, 1e-8);
    let error = found["quantile_error_percent"].as_f64().unwrap() / 100.0;
    let percentiles = ["/endpoints/~1anthropic/stats/p95_duration_ms"];
    assert_same(&endpoints, &found, &percentiles, error);
    let anthropic = &found["endpoints"]["/anthropic"];
    let sizes = json!({"avg_request_size": 1_024.0, "avg_response_size": 2_048.0});
    assert_eq!(anthropic["parameter_averages"], sizes);
    let minutes = found["window_seconds"].as_f64().unwrap() / 60.0;
    assert_close(&anthropic["requests_per_minute"], 2_000.0 / minutes);

    let found = get(&base, "/performance/alerts").await;
    assert_same(
        &alerts,
        &found,
        &["/active_alerts_count", "/system_health"],
        0.0,
    );
    for text in found["alerts"].as_array().unwrap() {
        assert!(text.as_str().unwrap().starts_with("[warning] "), "{text}");
    }
    let real_time = get(&base, "/performance/real-time").await;
    assert_eq!(real_time["active_alerts"], 2);
    assert_eq!(real_time["alerts"], found["alerts"]);
    assert!(real_time["recent_events"].as_array().unwrap().len() <= 100);
    let path = "/provider_performance/cerebras/success_rate_percent";
    assert_eq!(real_time.pointer(path).unwrap(), 94.8);

    let summary = get(&base, "/performance/summary").await;
    let availability = 1_930.0 * 100.0 / 1_955.0;
    assert_close(
        &summary["availability"]["availability_percent"],
        availability,
    );
    assert_eq!(summary["availability"]["success_rate_percent"], 96.5);
    assert_eq!(summary["error_rate"]["failed_requests"], 70);
    assert_eq!(summary["cost"]["total_cost"], 5.25);
    assert_eq!(summary["system_health"], "degraded");
    assert_eq!(summary["monitor"]["offered"], 1_250 + 2_000 + 1);
    assert_eq!(summary["monitor"]["counted"], summary["monitor"]["offered"]);

    let path = "/performance/history?metric=success_rate_percent";
    let history = get(&base, path).await;
    assert_eq!(history["points"][0]["value"], 96.5);
    assert_eq!(history["points"][0]["samples"], 2_000);
}

#[tokio::test]
async fn the_guides_change_of_the_configuration_is_taken() {
    let (_monitor, base) = serving();
    let url = format!("{base}/performance/config");
    let change = reqwest::Client::new()
        .post(&url)
        .json(&guide_change())
        .send();
    let answer = change.await.unwrap();
    assert_eq!(answer.status(), 200);
    let told: Value = answer.json().await.unwrap();
    assert_eq!(get(&base, "/performance/config").await, told);
    let in_force = told["alert_thresholds"].as_array().unwrap();
    for rule in guide_change()["alert_thresholds"].as_array().unwrap() {
        let is_it = |found: &&Value| {
            let same = |field: &str| found[field] == rule[field];
            ["metric", "threshold", "comparison", "severity"]
                .into_iter()
                .all(same)
        };
        assert!(
            in_force.iter().any(|found| is_it(&found)),
            "{rule} in {told:#}"
        );
    }
}
