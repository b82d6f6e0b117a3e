//! A/B tests: as the guide records them, and over real HTTP.

#![cfg(feature = "server")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may")]

use aimux_otel::{Limits, PerformanceEvent, PerformanceEventType, PerformanceMonitor, Window};
use serde_json::{Value, json};
use std::time::Duration;

fn monitor() -> PerformanceMonitor {
    let mut limits = Limits::default();
    limits.experiments = 2;
    PerformanceMonitor::builder()
        .limits(limits)
        .collection_interval(Duration::from_secs(3_600))
        .serve("127.0.0.1:0".parse().unwrap())
        .build()
        .unwrap()
}

/// The guide's `trackABTestPerformance`, where a success is `1` and a failure `0`.
fn track(monitor: &PerformanceMonitor, test: &str, variant: &str, ms: u64, success: &str) {
    let id = format!("{test}_{variant}");
    let event = PerformanceEvent::new(id, PerformanceEventType::RequestEnd, "abtest", test)
        .with_duration(Duration::from_millis(ms))
        .with_metadata("variant", variant)
        .with_metadata("success", success);
    monitor.record_event(event);
}

async fn asked(monitor: &PerformanceMonitor, path: &str) -> (u16, Value) {
    let address = monitor.local_addr().unwrap();
    let answer = reqwest::get(format!("http://{address}{path}"))
        .await
        .unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn events_of_the_guide_and_the_call_of_its_own_count_the_same() {
    let monitor = monitor();
    for (n, success) in ["1", "0", "true", "false"]
        .into_iter()
        .cycle()
        .take(40)
        .enumerate()
    {
        track(&monitor, "prompt", "a", 100 + n as u64, success);
        let took = Duration::from_millis(400 + n as u64);
        monitor.record_variant("prompt", "b", took, n % 2 == 0);
    }
    monitor.collect();
    let (status, view) = asked(&monitor, "/performance/experiments?experiment=prompt").await;
    assert_eq!(status, 200);
    assert_eq!(view["experiments_count"], 1);
    let prompt = &view["experiments"]["prompt"];
    assert_eq!(
        (&prompt["experiment_name"], &prompt["control"]),
        (&json!("prompt"), &json!("a"))
    );
    for variant in ["a", "b"] {
        let variant = &prompt["variants"][variant];
        assert_eq!(variant["total_operations"], 40);
        assert_eq!(variant["success_rate_percent"], 50.0);
        assert_eq!(variant["error_type_counts"], json!({"_OTHER": 20}));
        assert!(variant["p95_duration_ms"].is_f64());
    }
    let comparison = &prompt["comparisons"][0];
    assert_eq!(comparison["variant"], "b");
    let rate = &comparison["success_rate"];
    assert_eq!(rate["test"], "two_proportion_z");
    assert_eq!(rate["difference_percentage_points"], 0.0);
    assert_eq!(
        (&rate["p_value"], &rate["significant"]),
        (&json!(1.0), &json!(false))
    );
    let duration = &comparison["duration"];
    assert_eq!(duration["test"], "mann_whitney_u");
    assert_eq!(duration["probability_slower"], 1.0);
    assert_eq!(duration["significant"], true);
    assert!(view["alpha"] == 0.05 && view["minimum_samples"] == 20);

    // It is an experiment's, and not counted once more as work of a component.
    assert!(
        monitor
            .components(Window::SinceStart)
            .unwrap()
            .components
            .is_empty()
    );
    let health = monitor.health();
    assert_eq!((health.offered, health.counted), (80, 80));
    let events = monitor.recent_events();
    let event = &events[0];
    assert_eq!(
        (&*event.id, &*event.component, &*event.operation),
        ("prompt_a", "abtest", "prompt")
    );
    assert_eq!(event.metadata["variant"], "a");
    assert_eq!(events[1].metadata["variant"], "b");

    let path = "/performance/history?scope=experiment:prompt/b&metric=min_response_time_ms";
    let (_, history) = asked(&monitor, path).await;
    assert_eq!(history["points"][0]["value"], 400.0);
    let address = monitor.local_addr().unwrap();
    let metrics = reqwest::get(format!("http://{address}/metrics"))
        .await
        .unwrap();
    let metrics = metrics.text().await.unwrap();
    let line =
        r#"aimux_experiment_duration_seconds_count{aimux_experiment="prompt",aimux_variant="b""#;
    assert!(metrics.contains(line), "{metrics}");
}

#[tokio::test]
async fn experiments_and_variants_are_bounded() {
    let monitor = monitor();
    let took = Duration::from_millis(5);
    for test in ["one", "two", "three", "four", "ctrl\u{1b}[2J", ""] {
        monitor.record_variant(test, "a", took, true);
    }
    for n in 0..50 {
        monitor.record_variant("one", &n.to_string(), took, true);
    }
    track(&monitor, "", "", 5, "1");
    monitor.collect();
    let view = monitor.experiments(Window::SinceStart).unwrap();
    let names: Vec<&String> = view.experiments.keys().collect();
    assert_eq!(names, ["_OTHER", "one", "two"]);
    let other = &view.experiments["_OTHER"];
    assert_eq!(other.variants["a"].stats.total_operations, 4);
    assert_eq!(other.variants["_OTHER"].stats.total_operations, 1);
    assert_eq!(view.experiments["one"].variants.len(), 2 * 8 + 1);
    assert_eq!(monitor.health().labels_refused["experiment"], 5);
    // Of the sixteen places `a` has one.
    assert_eq!(monitor.health().labels_refused["variant"], 50 - 15 + 1);
}

#[tokio::test]
async fn what_cannot_be_an_answer_is_said() {
    let monitor = monitor();
    monitor.record_variant("prompt", "a", Duration::from_secs(u64::MAX), true);
    monitor.record_variant("prompt", "a", Duration::from_millis(1), true);
    monitor.collect();
    assert_eq!(monitor.health().dropped["invalid_value"], 1);
    let (status, problem) = asked(&monitor, "/performance/experiments?experiment=none").await;
    assert_eq!((status, &problem["field"]), (404, &json!("experiment")));
    assert_eq!(problem["allowed"], json!(["prompt"]));
    let (status, problem) = asked(&monitor, "/performance/experiments?variant=a").await;
    assert_eq!((status, &problem["field"]), (400, &json!("variant")));
    let path = "/performance/history?scope=experiment:none";
    let (status, problem) = asked(&monitor, path).await;
    assert_eq!((status, &problem["field"]), (404, &json!("scope")));
    assert_eq!(problem["allowed"], json!(["experiment:prompt"]));
}
