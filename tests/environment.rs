//! The `OTEL_*` variables that are the monitor's own to honour, each in a process of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod support;

use aimux_otel::{PerformanceMonitor, Window};
use std::{process::Command, time::Duration};
use support::otlp::Receiver;

const CHILD: &str = "AIMUX_TEST_CHILD";

/// Runs the test `name` of this binary again with `variables`; it then takes the child's part.
fn again(name: &str, variables: &[(&str, &str)]) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, "1");
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
}

fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

fn record_and_shut_down() -> (u64, u64) {
    let monitor = PerformanceMonitor::builder().build().unwrap();
    monitor.record_provider_request("openai", "mini", Duration::from_millis(7), true, "", 0.0);
    monitor.collect();
    let seen = monitor
        .providers(Window::SinceStart)
        .unwrap()
        .summary
        .total_requests;
    let offered = monitor.health().offered;
    monitor.shutdown(Duration::from_secs(20)).unwrap();
    (seen, offered)
}

#[test]
fn sdk_disabled_records_nothing() {
    if is_child() {
        assert_eq!(record_and_shut_down(), (0, 0));
        return;
    }
    again(
        "sdk_disabled_records_nothing",
        &[("OTEL_SDK_DISABLED", "true")],
    );
}

#[test]
fn the_newer_conventions_are_opted_in_to() {
    let name = "the_newer_conventions_are_opted_in_to";
    if is_child() {
        assert_eq!(record_and_shut_down(), (1, 1));
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for (value, today, newer) in [
        ("http", 1, 0),
        ("http,gen_ai_latest_experimental", 0, 1),
        ("gen_ai_latest_experimental/dup", 1, 1),
    ] {
        let (receiver, address) = runtime.block_on(Receiver::http());
        let endpoint = format!("http://{address}");
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint),
            ("OTEL_SEMCONV_STABILITY_OPT_IN", value),
        ];
        again(name, &variables);
        let count = |metric| receiver.count(metric, &[]);
        let of_today = count("gen_ai.client.operation.duration");
        assert_eq!(
            (of_today, count("gen_ai.client.inference.duration")),
            (today, newer),
            "{value}"
        );
    }
}

#[test]
fn an_endpoint_in_the_environment_is_pushed_to() {
    if is_child() {
        assert_eq!(record_and_shut_down(), (1, 1));
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (receiver, address) = runtime.block_on(Receiver::http());
    let endpoint = format!("http://{address}");
    let name = "an_endpoint_in_the_environment_is_pushed_to";
    again(name, &[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)]);
    assert_eq!(receiver.count("gen_ai.client.operation.duration", &[]), 1);

    let before = receiver.pushes();
    let none = ("OTEL_METRICS_EXPORTER", "none");
    let no_traces = ("OTEL_TRACES_EXPORTER", "none");
    again(
        name,
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint), none, no_traces],
    );
    assert_eq!(receiver.pushes(), before, "no exporter, no push");
}
