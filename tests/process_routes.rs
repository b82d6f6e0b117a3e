//! The process over HTTP: its memory as a view, and all of it for Prometheus.

#![cfg(all(target_os = "linux", feature = "server"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]

use aimux_otel::PerformanceMonitor;
use serde_json::Value;
use std::time::Duration;

/// Every value of `/performance/memory` by its path, as the kind that it is.
fn kinds(path: &str, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            kinds(&format!("{path}.{name}"), value, found);
        }),
        _ => {
            let kind = match value {
                Value::Null => "null",
                Value::Bool(_) => "boolean",
                Value::Number(_) => "number",
                Value::String(_) => "text",
                _ => "list",
            };
            found.push(format!("{} {kind}", path.trim_start_matches('.')));
        }
    }
}

async fn get(url: String) -> reqwest::Response {
    reqwest::get(url).await.unwrap()
}

fn serving() -> (PerformanceMonitor, String) {
    let listen = "127.0.0.1:0".parse().unwrap();
    let builder = PerformanceMonitor::builder().collection_interval(Duration::from_secs(3_600));
    let monitor = builder.serve(listen).build().unwrap();
    let base = format!("http://{}", monitor.local_addr().unwrap());
    (monitor, base)
}

#[tokio::test]
async fn the_route_has_the_fields_of_the_guide_and_more() {
    let (monitor, base) = serving();
    // The monitor is looked at twice, so that CPU and trends have something to tell.
    monitor.collect();
    let mut answer: Value = Value::Null;
    for _ in 0..200 {
        monitor.collect();
        let response = get(format!("{base}/performance/memory")).await;
        assert_eq!(response.status(), 200);
        answer = response.json().await.unwrap();
        if !answer["cpu"]["cpu_usage_percent"].is_null() {
            break;
        }
        std::thread::yield_now();
    }
    let mut found = Vec::new();
    kinds("", &answer, &mut found);
    let expected: Vec<&str> = include_str!("golden/memory_fields.txt").lines().collect();
    let is_source = |line: &&String| !line.starts_with("source.");
    let found: Vec<&String> = found.iter().filter(is_source).collect();
    assert_eq!(found, expected, "{answer:#}");
    assert_eq!(answer["alerts"], serde_json::json!([]));
    assert_eq!(answer["trends"]["pressure_trend"], "stable");
    assert_eq!(answer["source"]["process.cpu.time"], "aimux-otel");

    for route in ["/performance/real-time", "/performance"] {
        let response = get(format!("{base}{route}")).await;
        let whole: Value = response.json().await.unwrap();
        assert_eq!(whole["memory_metrics"], answer["current"], "{route}");
        for part in ["cpu", "network", "io"] {
            let fields = |value: &Value| {
                let fields = value.as_object().unwrap();
                fields.keys().cloned().collect::<Vec<_>>()
            };
            let there = &whole["process_metrics"][part];
            assert_eq!(fields(there), fields(&answer[part]), "{route} {part}");
        }
    }
    for refused in [
        "?window=0s",
        "?window=49h",
        "?provider=x",
        "?window=1m&window=1m",
    ] {
        let response = get(format!("{base}/performance/memory{refused}")).await;
        assert_eq!(response.status(), 400, "{refused}");
        let problem = "application/problem+json";
        assert_eq!(response.headers()["content-type"], problem, "{refused}");
    }
    let response = get(format!("{base}/performance/memory?window=5m")).await;
    assert_eq!(response.status(), 200);
}

/// Names, types and labels as they are in the golden file; the numbers are this process's.
#[tokio::test]
async fn prometheus_sees_the_process() {
    let (monitor, base) = serving();
    monitor.collect();
    let mut text = String::new();
    for _ in 0..200 {
        monitor.collect();
        text = get(format!("{base}/metrics")).await.text().await.unwrap();
        // It takes 10 ms to say something of the CPU.
        if text.contains("process_cpu_utilization_ratio{") {
            break;
        }
        std::thread::yield_now();
    }
    let ours = ["process_", "system_", "aimux_process_"];
    let mut shown = String::new();
    for line in text.lines() {
        let name = line.trim_start_matches("# HELP ");
        let name = name.trim_start_matches("# TYPE ");
        if !ours.iter().any(|ours| name.starts_with(ours)) {
            continue;
        }
        if line.starts_with('#') {
            shown += line;
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().unwrap() >= 0.0, "{line}");
            shown += series;
        }
        shown.push('\n');
    }
    let expected = include_str!("golden/process_metrics.txt");
    assert_eq!(shown, expected, "{shown}");
}
