//! How providers stand, and whom to ask.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use aimux_otel::{BuildError, HealthPolicy, HealthReason, HealthState, PerformanceMonitor, Window};
use serde_json::json;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn monitor() -> PerformanceMonitor {
    let builder = PerformanceMonitor::builder().collection_interval(Duration::from_secs(3_600));
    builder.build().unwrap()
}

fn ask(monitor: &PerformanceMonitor, provider: &str, succeeded: u32, failed: u32) {
    for _ in 0..succeeded {
        monitor.record_provider_request(provider, "m", SECOND, true, "", 0.0);
    }
    for _ in 0..failed {
        monitor.record_provider_request(provider, "m", SECOND, false, "503", 0.0);
    }
}

fn order(monitor: &PerformanceMonitor) -> Vec<usize> {
    let candidates = [("bad", "m"), ("good", "m"), ("new", "m")];
    monitor.rank(&candidates).iter().collect()
}

#[test]
fn one_that_fails_is_asked_last_and_who_waits_is_told() {
    let monitor = monitor();
    let mut changes = monitor.health_changes();
    assert!(!changes.has_changed().unwrap());
    assert_eq!(order(&monitor), [0, 1, 2], "nobody is known");
    ask(&monitor, "bad", 50, 0);
    ask(&monitor, "good", 50, 0);
    monitor.collect();
    assert!(changes.has_changed().unwrap());
    changes.borrow_and_update();
    assert_eq!(order(&monitor), [0, 1, 2]);
    ask(&monitor, "good", 50, 0);
    monitor.collect();
    assert!(!changes.has_changed().unwrap(), "nothing has changed");
    ask(&monitor, "bad", 0, 50);
    monitor.collect();
    assert_eq!(order(&monitor), [1, 2, 0]);
    let told = changes.borrow_and_update();
    let bad = told
        .iter()
        .find(|standing| &*standing.provider == "bad")
        .unwrap();
    assert_eq!(bad.state, HealthState::Unhealthy);
    assert_eq!(bad.reason, HealthReason::SuccessRate);
    assert_eq!(bad.success_rate_percent, Some(50.0));
    assert_eq!(
        bad.average_duration.map(|took| took.as_millis()),
        Some(1_000)
    );
    drop(told);
    assert_eq!(monitor.health_state("bad", "m"), HealthState::Unhealthy);
    assert_eq!(monitor.health_state("nobody", "m"), HealthState::Unknown);
    // It has to be kept for a while first.
    ask(&monitor, "bad", 100_000, 0);
    monitor.collect();
    assert_eq!(monitor.health_state("bad", "m"), HealthState::Unhealthy);

    let view = json!(monitor.providers(Window::SinceStart).unwrap());
    let bad = &view["providers"]["bad"];
    assert_eq!(bad["health_state"], "unhealthy");
    assert_eq!(bad["model_stats"]["m"]["health_state"], "unhealthy");
    assert_eq!(bad["model_stats"]["m"]["health_reason"], "success_rate");
    assert_eq!(view["providers"]["good"]["health_state"], "healthy");
    let gauge = |provider: &str| {
        let families = monitor.prometheus_registry().gather();
        let family = families
            .iter()
            .find(|f| f.name().starts_with("aimux_provider_health"));
        let metrics = family.unwrap().get_metric();
        let metric = metrics.iter().find(|metric| {
            metric
                .get_label()
                .iter()
                .any(|label| label.value() == provider)
        });
        metric.map(|metric| metric.get_gauge().get_value())
    };
    assert_eq!(gauge("good"), Some(1.0));
    assert_eq!(gauge("bad"), Some(0.0));
}

#[test]
fn whatever_is_asked_about_does_no_harm() {
    let monitor = monitor();
    ask(&monitor, "good", 50, 0);
    monitor.collect();
    assert_eq!(monitor.rank(&[]).iter().count(), 0);
    let many = vec![("x\0", "\u{202e}"); 10_000];
    let order: Vec<usize> = monitor.rank(&many).iter().collect();
    assert_eq!(order, (0..10_000).collect::<Vec<_>>());
    let twice = [("good", "m"), ("good", "m"), ("", "")];
    assert_eq!(monitor.rank(&twice).iter().collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(monitor.rank(&twice).best(), Some(0));
    assert_eq!(monitor.provider_health().len(), 1, "to ask admits nobody");
}

#[test]
fn a_policy_that_cannot_be_is_refused() {
    let mut wrong = Vec::new();
    let mut policy = HealthPolicy::default();
    policy.short_window = Duration::ZERO;
    wrong.push(policy);
    let mut policy = HealthPolicy::default();
    policy.long_window = Duration::from_secs(30);
    wrong.push(policy);
    let mut policy = HealthPolicy::default();
    policy.degraded_below_percent = f64::NAN;
    wrong.push(policy);
    let mut policy = HealthPolicy::default();
    policy.degraded_times_slower = f64::INFINITY;
    wrong.push(policy);
    for policy in wrong {
        let built = PerformanceMonitor::builder().health_policy(policy).build();
        let error = built.unwrap_err();
        assert!(matches!(&error, BuildError::Setting { .. }), "{error}");
        assert!(error.to_string().contains("health_policy"), "{error}");
    }
}

#[test]
fn the_callers_faults_say_nothing_of_a_provider() {
    let monitor = monitor();
    ask(&monitor, "good", 50, 0);
    for _ in 0..500 {
        monitor.record_provider_request("good", "m", SECOND, false, "400", 0.0);
    }
    monitor.collect();
    assert_eq!(monitor.health_state("good", "m"), HealthState::Healthy);
}
