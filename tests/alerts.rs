//! Alerts as their users meet them: from the builder to the channel, the routes and the metrics.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use aimux_otel::{
    AlertChange, AlertDetail, AlertMetric, AlertRule, AlertScope, AlertSink, AlertState,
    BuildError, Comparison, PerformanceMonitor, ResolvedBecause, SettingsError, Severity,
    SystemHealth, Timestamp, Window,
};
use std::{
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

const HOUR: Duration = Duration::from_secs(3_600);

fn builder() -> aimux_otel::MonitorBuilder {
    PerformanceMonitor::builder().collection_interval(HOUR)
}

fn calls(monitor: &PerformanceMonitor, provider: &str, count: u64, failed: u64) {
    for call in 0..count {
        let error_type = if call < failed { "timeout" } else { "" };
        let took = Duration::from_millis(800);
        monitor.record_provider_request(provider, "m", took, call >= failed, error_type, 0.0);
    }
}

fn errors(threshold: f64, severity: Severity) -> AlertRule {
    let metric = AlertMetric::ErrorRatePercent;
    AlertRule::new(metric, Comparison::Above, threshold, severity)
}

/// Remembers what it is told.
#[derive(Default)]
struct Told {
    changes: Mutex<Vec<AlertChange>>,
    firing: Mutex<Vec<Vec<AlertDetail>>>,
    monitor: OnceLock<PerformanceMonitor>,
}

impl AlertSink for Told {
    fn changed(&self, changes: &[AlertChange], firing: &[AlertDetail], now: Timestamp) {
        assert!(changes.iter().all(|c| c.at == now.as_unix_seconds()));
        self.changes.lock().unwrap().extend_from_slice(changes);
        self.firing.lock().unwrap().push(firing.to_vec());
        if let Some(monitor) = self.monitor.get() {
            // Nothing is locked: it may ask, and tell.
            assert_eq!(monitor.alerts().active_alerts_count, firing.len());
            monitor.collect();
        }
    }
}

#[test]
fn it_goes_the_whole_way() {
    let told = Arc::new(Told::default());
    let monitor = builder()
        .alert(errors(10.0, Severity::Critical))
        .alert_sink(Arc::new(Panics))
        .alert_sink(Arc::clone(&told) as _)
        .build()
        .unwrap();
    told.monitor.set(monitor.clone()).ok().unwrap();
    let mut changes = monitor.alert_changes();
    assert_eq!(changes.try_next(), None);
    calls(&monitor, "zai", 40, 10);
    monitor.collect();
    let view = monitor.alerts();
    let text = "[critical] High error rate detected for provider zai (25.0% > 10%)";
    assert_eq!(view.alerts, [text]);
    assert_eq!(
        (view.active_alerts_count, view.system_health),
        (1, SystemHealth::Critical)
    );
    let report = monitor.report(Window::SinceStart).unwrap();
    assert_eq!(
        (report.active_alerts, &*report.alerts),
        (1, &[text.to_owned()][..])
    );
    let real_time = monitor.real_time(Window::SinceStart).unwrap();
    assert_eq!(
        (real_time.active_alerts, &*real_time.alerts),
        (1, &[text.to_owned()][..])
    );

    let change = changes.try_next().unwrap();
    assert_eq!(change.state, AlertState::Firing);
    assert_eq!((change.value, change.threshold), (Some(25.0), Some(10.0)));
    assert_eq!(change.labels["provider"], "zai");
    assert_eq!(changes.try_next(), None);

    let rule = &monitor.alert_rules()[0];
    assert_eq!(rule.id(), "error_rate_percent > critical");
    assert!(monitor.remove_alert(&rule.id()));
    assert!(!monitor.remove_alert("error_rate_percent > critical"));
    monitor.collect();
    let change = changes.try_next().unwrap();
    assert_eq!(change.state, AlertState::Resolved);
    assert_eq!(change.resolved_because, Some(ResolvedBecause::Removed));
    assert_eq!(monitor.alerts().system_health, SystemHealth::Healthy);
    assert_eq!(monitor.alerts().recently_resolved.len(), 1);

    let states: Vec<AlertState> = told
        .changes
        .lock()
        .unwrap()
        .iter()
        .map(|c| c.state)
        .collect();
    assert_eq!(states, [AlertState::Firing, AlertState::Resolved]);
    let firing: Vec<usize> = told.firing.lock().unwrap().iter().map(Vec::len).collect();
    assert_eq!(firing, [1, 0], "told after each collection");
}

/// A sink that is no good.
struct Panics;

impl AlertSink for Panics {
    fn changed(&self, _: &[AlertChange], _: &[AlertDetail], _: Timestamp) {
        panic!("a sink of the host panics, as this test wants it to");
    }
}

#[test]
fn a_slow_listener_is_told_how_much_it_missed() {
    let monitor = builder().build().unwrap();
    let mut changes = monitor.alert_changes();
    for n in 0..100 {
        monitor
            .set_alert(errors(1.0, Severity::Info).with_id(format!("rule {n}")))
            .unwrap();
    }
    for provider in 0..6 {
        calls(&monitor, &format!("provider {provider}"), 20, 20);
    }
    monitor.collect();
    assert_eq!(monitor.alerts().active_alerts_count, 600);
    let got = std::iter::from_fn(|| changes.try_next()).count();
    assert_eq!((got, changes.missed()), (512, 88));
}

#[tokio::test]
async fn the_channel_ends_with_the_monitor() {
    let monitor = builder()
        .alert(errors(10.0, Severity::Warning))
        .build()
        .unwrap();
    let mut changes = monitor.alert_changes();
    calls(&monitor, "zai", 40, 40);
    monitor.shutdown(Duration::from_secs(10)).unwrap();
    // The last collection looks too.
    assert_eq!(changes.next().await.unwrap().state, AlertState::Firing);
    assert_eq!(changes.next().await, None);
    assert_eq!(monitor.alert_changes().next().await, None);
    let late = monitor.set_alert(errors(1.0, Severity::Info));
    assert!(matches!(late, Err(SettingsError::ShutDown)));
}

#[test]
fn a_custom_rule_may_ask_and_panic() {
    let monitor = builder()
        .custom_alert(
            "panics",
            Severity::Critical,
            |_| -> Option<(String, String)> {
                panic!("a closure of the host panics, as this test wants it to")
            },
        )
        .custom_alert("asks", Severity::Info, |views| {
            let view = views.endpoints(Window::SinceStart).ok()?;
            (view.endpoints_count > 0).then_some(("gateway", "somebody came"))
        })
        .build()
        .unwrap();
    let id = monitor.record_request_start("1", "/chat", "GET", "", "");
    monitor.record_request_end(id, true, 200, 0, "", 0.0);
    monitor.collect();
    let view = monitor.alerts();
    assert_eq!(view.alerts, ["[info] somebody came"]);
    assert_eq!(
        (view.custom_rule_panics, view.system_health),
        (1, SystemHealth::Healthy)
    );
    assert_eq!(view.insufficient_data[0].rule, "panics");
}

#[test]
fn what_cannot_be_is_refused_before_anything_starts() {
    let wrong = |builder: aimux_otel::MonitorBuilder| builder.build().unwrap_err();
    let error = wrong(builder().alert(errors(f64::NAN, Severity::Info)));
    assert!(matches!(error, BuildError::Alert { source, .. } if source.field() == "threshold"));
    let elsewhere = errors(1.0, Severity::Info).with_scope(AlertScope::Process);
    let error = wrong(builder().alert(elsewhere));
    let text = "alert rule \"error_rate_percent > info process\": error_rate_percent cannot be \
        watched there, but at: gateway, each provider, a provider, a model, each endpoint, an \
        endpoint";
    assert_eq!(error.to_string(), text);
    let many = (0..101).fold(builder(), |builder, n| {
        builder.alert(errors(1.0, Severity::Info).with_id(n.to_string()))
    });
    let error = wrong(many);
    assert!(matches!(
        error,
        BuildError::Setting {
            setting: "alerts",
            ..
        }
    ));
    let none = |_: &aimux_otel::AlertContext<'_>| None::<(String, String)>;
    let twice = builder()
        .custom_alert("a", Severity::Info, none)
        .custom_alert("a", Severity::Info, none);
    assert!(matches!(
        wrong(twice),
        BuildError::Setting {
            setting: "custom_alert",
            ..
        }
    ));

    let monitor = builder().build().unwrap();
    for (metric, threshold, comparison, severity, field) in [
        ("memory", 1.0, ">", "info", "metric"),
        ("memory_pressure", 1.0, "=>", "info", "comparison"),
        ("memory_pressure", 1.0, ">", "Info", "severity"),
        (
            "memory_pressure",
            f64::NEG_INFINITY,
            ">",
            "info",
            "threshold",
        ),
    ] {
        let error = monitor.set_alert_threshold(metric, threshold, comparison, severity);
        assert!(matches!(error, Err(SettingsError::Alert(error)) if error.field() == field));
    }
    for n in 0..100 {
        monitor
            .set_alert(errors(1.0, Severity::Info).with_id(n.to_string()))
            .unwrap();
    }
    let error = monitor.set_alert(errors(1.0, Severity::Info));
    assert!(matches!(
        error,
        Err(SettingsError::OutOfRange {
            setting: "alerts",
            ..
        })
    ));
    assert_eq!(monitor.alert_rules().len(), 100);
}

#[test]
fn alerts_are_metrics_too() {
    let monitor = builder()
        .alert(errors(10.0, Severity::Critical))
        .alert(errors(5.0, Severity::Warning).with_id("some"))
        .build()
        .unwrap();
    let alerts = || {
        let mut lines = Vec::new();
        for family in monitor.prometheus_registry().gather() {
            if !family.name().contains("alerts") {
                continue;
            }
            for metric in family.get_metric() {
                let labels = metric
                    .get_label()
                    .iter()
                    .filter(|l| l.name().starts_with("aimux"));
                let labels: Vec<String> = labels
                    .map(|l| format!("{}={}", l.name(), l.value()))
                    .collect();
                let value = metric.get_gauge().get_value() + metric.get_counter().get_value();
                lines.push(format!("{} {} {value}", family.name(), labels.join(" ")));
            }
        }
        lines.sort();
        lines
    };
    assert_eq!(alerts(), [""; 0], "nothing before the first look");
    calls(&monitor, "zai", 40, 10);
    calls(&monitor, "cerebras", 40, 3);
    monitor.collect();
    let expected = [
        "aimux_alerts_active aimux_alert_rule=error_rate_percent > critical aimux_alert_severity=critical 1",
        "aimux_alerts_active aimux_alert_rule=some aimux_alert_severity=warning 1",
        "aimux_alerts_changes_total aimux_alert_state=firing 2",
        "aimux_alerts_changes_total aimux_alert_state=pending 0",
        "aimux_alerts_changes_total aimux_alert_state=resolved 0",
    ];
    assert_eq!(alerts(), expected);
    monitor.remove_alert("some");
    monitor.collect();
    let lines = alerts();
    assert!(lines.contains(&"aimux_alerts_changes_total aimux_alert_state=resolved 1".to_owned()));
    let gone = "aimux_alerts_active aimux_alert_rule=some aimux_alert_severity=warning 0";
    assert!(lines.contains(&gone.to_owned()), "{lines:?}");
}

#[cfg(feature = "server")]
#[tokio::test]
async fn the_route_tells_what_the_getter_does() {
    let monitor = builder()
        .recommended_alerts()
        .serve("127.0.0.1:0".parse().unwrap())
        .build()
        .unwrap();
    calls(&monitor, "zai", 40, 10);
    monitor.collect();
    let base = format!("http://{}", monitor.local_addr().unwrap());
    let view: serde_json::Value = reqwest::get(format!("{base}/performance/alerts"))
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let texts = ["[critical] High error rate detected for provider zai (25.0% > 10%)"];
    assert_eq!(view["alerts"], serde_json::json!(texts));
    assert_eq!(view["active_alerts_count"], 1);
    assert_eq!(view["system_health"], "critical");
    assert_eq!(view["details"][0]["rule"], "error_rate_percent > critical");
    let wrong = reqwest::get(format!("{base}/performance/alerts?window=5m"))
        .await
        .unwrap();
    assert_eq!(wrong.status(), 400);
}
