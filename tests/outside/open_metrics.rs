//! Both forms of `/metrics` have equal values, by Prometheus' own Python parsers; and a real
//! Prometheus keeps the exemplars of what it scrapes.

use super::{
    from_environment,
    gateway::{Gateway, get_json},
    program,
    scrape::Prometheus,
    support::otlp::Receiver,
};
use aimux_otel::PerformanceMonitor;
use prometheus::{Gauge, IntCounter, Registry};
use std::{collections::HashSet, process::Command, time::Duration};

/// How many samples and exemplars the two forms at `monitor` have, which are compared.
fn compared(monitor: &str) -> Option<(usize, usize)> {
    let what = "the comparison of OpenMetrics with the text format by the Python package prometheus-client";
    let python = from_environment("AIMUX_PYTHON", what)?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/outside/open_metrics.py");
    let url = format!("{monitor}/metrics");
    let output = Command::new(python).args([script, &url]).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    let said = String::from_utf8(output.stdout).unwrap();
    let (samples, exemplars) = said.trim().split_once(' ').unwrap();
    Some((samples.parse().unwrap(), exemplars.parse().unwrap()))
}

/// The traces that were exported, in hexadecimal digits.
fn exported(receiver: &Receiver) -> HashSet<String> {
    let hex = |id: &[u8]| id.iter().map(|byte| format!("{byte:02x}")).collect();
    let spans = receiver.spans();
    spans.iter().map(|span| hex(&span.trace_id)).collect()
}

/// Exports the gateway's traces to `receiver`, all of them.
fn traced(address: std::net::SocketAddr) -> Vec<(&'static str, String)> {
    vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}")),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc".to_owned()),
        ("OTEL_METRICS_EXPORTER", "none".to_owned()),
        ("OTEL_TRACES_EXPORTER", "otlp".to_owned()),
        ("OTEL_BSP_SCHEDULE_DELAY", "200".to_owned()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn both_forms_of_the_metrics_are_equal() {
    let (_receiver, address) = Receiver::grpc().await;
    let variables = traced(address);
    let variables: Vec<(&str, &str)> = variables.iter().map(|(k, v)| (*k, &**v)).collect();
    let arguments = ["--speed", "50", "--seed", "9", "--duration", "3"];
    let gateway = Gateway::start("open-metrics", &arguments, &variables);
    gateway.summary();
    let Some((samples, exemplars)) = compared(&gateway.monitor) else {
        return;
    };
    assert!(samples > 1_000, "{samples}");
    assert!(exemplars > 10, "{exemplars}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_registered_is_equal_too() {
    let registry = Registry::new();
    let counter = |name| {
        let counter = IntCounter::new(name, "somebody's \"own\"\nmetric").unwrap();
        counter.inc();
        counter
    };
    for name in ["requests", "clashing_total"] {
        registry.register(Box::new(counter(name))).unwrap();
    }
    for (name, value) in [
        ("clashing", 1.5),
        ("endless", f64::INFINITY),
        ("nothing", f64::NAN),
        ("ends_in_info", 2.0),
        ("a_bucket", 3.0),
    ] {
        let gauge = Gauge::new(name, "of somebody").unwrap();
        gauge.set(value);
        registry.register(Box::new(gauge)).unwrap();
    }
    let labels = prometheus::opts!("labelled", "with labels");
    let labelled = prometheus::HistogramVec::new(labels.into(), &["a"]).unwrap();
    labelled.with_label_values(&["\"\\\n ü"]).observe(0.3);
    registry.register(Box::new(labelled)).unwrap();
    let monitor = PerformanceMonitor::builder()
        .prometheus_registry(registry)
        .serve("127.0.0.1:0".parse().unwrap())
        .build()
        .unwrap();
    let took = Duration::from_millis(5);
    monitor.record_provider_request("a \"quoted\\ name\n", "m", took, true, "", 0.1);
    monitor.collect();
    let base = format!("http://{}", monitor.local_addr().unwrap());
    let compared = tokio::task::spawn_blocking(move || compared(&base));
    if let Some((samples, exemplars)) = compared.await.unwrap() {
        assert!(samples > 100, "{samples}");
        assert_eq!(exemplars, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_keeps_the_exemplars() {
    let Some(program) = program("prometheus") else {
        return;
    };
    let (receiver, address) = Receiver::grpc().await;
    let variables = traced(address);
    let variables: Vec<(&str, &str)> = variables.iter().map(|(k, v)| (*k, &**v)).collect();
    let arguments = ["--speed", "20", "--seed", "10"];
    let gateway = Gateway::start("exemplars", &arguments, &variables);
    let prometheus = Prometheus::start_with(
        &program,
        "exemplars",
        &gateway.monitor,
        &["--enable-feature=exemplar-storage"],
    );
    let up = "sum(gen_ai_client_operation_duration_seconds_count)";
    prometheus.grown(up, 0.0).await;
    for family in [
        "gen_ai_client_operation_duration_seconds",
        "http_server_request_duration_seconds",
    ] {
        let mut tries = 0;
        let traces = loop {
            let query =
                format!("/api/v1/query_exemplars?query={family}_bucket&start=0&end=9999999999");
            let answer = get_json(&format!("{}{query}", prometheus.url)).await;
            let series = answer["data"].as_array().cloned().unwrap_or_default();
            let exemplars = series
                .iter()
                .flat_map(|series| series["exemplars"].as_array().cloned().unwrap_or_default());
            let traces: HashSet<String> = exemplars
                .filter_map(|exemplar| exemplar["labels"]["trace_id"].as_str().map(str::to_owned))
                .collect();
            if traces.len() >= 5 {
                break traces;
            }
            tries += 1;
            assert!(tries < 100, "{family}: {answer:#}");
            tokio::time::sleep(Duration::from_millis(300)).await;
        };
        // What is shown leads to a trace that was exported.
        let mut tries = 0;
        while !exported(&receiver).is_superset(&traces) {
            tries += 1;
            assert!(tries < 100, "{family}: {traces:?}");
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }
}
