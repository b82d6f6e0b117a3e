//! A real OpenTelemetry Collector reads what was exported as OTLP, and loses nothing of it.
//!
//! It takes each line by its OTLP receiver over HTTP, as JSON: that has the same decoder as its
//! receiver for files. What it has read, its file exporter writes.

use super::{left_out, scrape::free_address};
use aimux_otel::{ExportFormat, PerformanceMonitor, Timestamp};
use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    metrics::v1::{Metric, metric::Data},
};
use reqwest::{Client, StatusCode, header};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_reads_back_what_was_exported() {
    let Some(program) = otelcol() else {
        return;
    };
    let collector = Collector::start(&program).await;
    let monitor = PerformanceMonitor::builder()
        .service_name("gate \"way\"")
        .provider("cerebras", ["llama3.1-70b"])
        .build()
        .unwrap();
    record(&monitor, 0);
    let whole = monitor.export(ExportFormat::Otlp, None).unwrap();
    let end = whole.window_end();
    let whole = whole.into_string().unwrap();
    record(&monitor, 1);
    let changed = |since: Timestamp| monitor.export(ExportFormat::Otlp, Some(since)).unwrap();
    let changed = changed(end).into_string().unwrap();

    let mut sent = BTreeSet::new();
    for line in whole.lines().chain(changed.lines()) {
        collector.send(line).await;
        sent.extend(points(line));
    }
    assert!(sent.len() > 3_000, "{}", sent.len());
    let mut written = BTreeSet::new();
    for _ in 0..300 {
        let text = std::fs::read_to_string(&collector.file).unwrap_or_default();
        // The last line may be half written.
        let lines = text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'));
        written = lines.flat_map(points).collect();
        if written.len() >= sent.len() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let text = std::fs::read_to_string(&collector.file).unwrap();
    // By temporality: cumulative, and delta.
    assert_eq!(attempts(&text, 2), (1_000, expected_micros(0)));
    assert_eq!(attempts(&text, 1), (1_000, expected_micros(1)));
    let lost: Vec<&String> = sent.difference(&written).take(3).collect();
    let invented: Vec<&String> = written.difference(&sent).take(3).collect();
    assert!(
        lost.is_empty() && invented.is_empty(),
        "{lost:#?}\n{invented:#?}"
    );
}

/// Several kinds of points, and so many that they take several lines.
fn record(monitor: &PerformanceMonitor, round: u64) {
    for nth in 0..1_000_u64 {
        let model = format!("model-{}", nth % 200);
        let took = Duration::from_micros(took(nth, round));
        let (success, error) = (nth % 7 != 0, if nth % 7 == 0 { "timeout" } else { "" });
        monitor.record_provider_request("cerebras", &model, took, success, error, 0.000_000_1);
        let id = monitor.record_request_start("r", "/v1/chat", "POST", "", "");
        monitor.record_request_end(id, true, 200, 100 + nth, "", 0.0);
    }
    let meter = opentelemetry::metrics::MeterProvider::meter(monitor.meter_provider(), "host");
    // Names that the example gateway would not let pass.
    let odd = ["\"},{\"", "\u{202e}x", "line\nbreak", "ключ", "\u{1f600}"];
    let histogram = meter
        .f64_histogram("gen_ai.client.operation.duration")
        .build();
    for (nth, text) in odd.into_iter().cycle().take(3_000).enumerate() {
        let attributes = [
            opentelemetry::KeyValue::new("gen_ai.request.model", text),
            opentelemetry::KeyValue::new("nth", nth as i64),
        ];
        histogram.record(nth as f64, &attributes);
    }
    monitor.collect();
}

/// How long the attempts of a round took, in microseconds.
fn expected_micros(round: u64) -> u64 {
    (0..1_000).map(|nth| took(nth, round)).sum()
}

const fn took(nth: u64, round: u64) -> u64 {
    1 + nth * nth * 37 + round
}

/// How many attempts the gateway made by what the file says, and how many microseconds they took.
fn attempts(text: &str, temporality: i64) -> (u64, u64) {
    let (mut count, mut seconds) = (0, 0.0);
    for line in text.lines() {
        let request: Value = serde_json::from_str(line).unwrap();
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let resources = list(&request["resourceMetrics"]);
        let scopes = resources.iter().flat_map(|r| list(&r["scopeMetrics"]));
        for scope in scopes.filter(|scope| scope["scope"]["name"] == "aimux-otel") {
            for metric in list(&scope["metrics"]) {
                let data = &metric["exponentialHistogram"];
                let is_it = metric["name"] == "gen_ai.client.operation.duration";
                if is_it && data["aggregationTemporality"] == temporality {
                    for point in list(&data["dataPoints"]) {
                        count += point["count"].as_str().unwrap().parse::<u64>().unwrap();
                        seconds += point["sum"].as_f64().unwrap();
                    }
                }
            }
        }
    }
    (count, (seconds * 1e6).round() as u64)
}

/// Each data point of a line, with all that it belongs to, spelled out.
fn points(line: &str) -> Vec<String> {
    let request: ExportMetricsServiceRequest = serde_json::from_str(line).unwrap();
    let mut points = Vec::new();
    for resource in request.resource_metrics {
        let service = format!("{:?}", resource.resource.unwrap_or_default().attributes);
        for scope in resource.scope_metrics {
            let name = scope.scope.unwrap_or_default().name;
            for metric in scope.metrics {
                let about = format!(
                    "{service} {name} {} {} {}",
                    metric.name, metric.unit, metric.description
                );
                points.extend(
                    of_metric(metric)
                        .into_iter()
                        .map(|p| format!("{about} {p}")),
                );
            }
        }
    }
    points
}

fn of_metric(metric: Metric) -> Vec<String> {
    match metric.data.unwrap() {
        Data::ExponentialHistogram(histogram) => {
            let spelled = histogram.data_points.into_iter().map(|mut point| {
                // Of what is never negative there are none, however that is said.
                assert!(
                    point
                        .negative
                        .take()
                        .unwrap_or_default()
                        .bucket_counts
                        .is_empty()
                );
                format!("{} {point:?}", histogram.aggregation_temporality)
            });
            spelled.collect()
        }
        Data::Histogram(histogram) => {
            let points = histogram.data_points.iter();
            points
                .map(|point| format!("{} {point:?}", histogram.aggregation_temporality))
                .collect()
        }
        Data::Sum(sum) => {
            let points = sum.data_points.iter();
            points
                .map(|point| {
                    format!(
                        "{} {} {point:?}",
                        sum.aggregation_temporality, sum.is_monotonic
                    )
                })
                .collect()
        }
        Data::Gauge(gauge) => {
            // A gauge has no beginning: some leave that out.
            let points = gauge.data_points.iter();
            points.map(|point| format!("{point:?}")).collect()
        }
        Data::Summary(_) => panic!("there are none"),
    }
}

/// The Collector that `AIMUX_OTELCOL` names, or one of the full distribution.
fn otelcol() -> Option<OsString> {
    let named = std::env::var_os("AIMUX_OTELCOL").filter(|path| !path.is_empty());
    if named.is_some() {
        return named;
    }
    let runs = Command::new("otelcol-contrib").arg("--version").output();
    if runs.is_ok_and(|output| output.status.success()) {
        return Some("otelcol-contrib".into());
    }
    left_out(
        "checks with a Collector: set AIMUX_OTELCOL to what tests/outside/collector/build.sh prints",
    );
    None
}

/// A Collector with OTLP over HTTP in, and a file out; ended when dropped.
struct Collector {
    child: Child,
    address: SocketAddr,
    folder: PathBuf,
    file: PathBuf,
}

impl Collector {
    async fn start(program: &OsString) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("collector");
        std::fs::remove_dir_all(&folder).ok();
        std::fs::create_dir_all(&folder).unwrap();
        let (address, file) = (free_address(), folder.join("written.jsonl"));
        let config = format!(
            "receivers: {{otlp: {{protocols: {{http: {{endpoint: '{address}'}}}}}}}}\n\
             exporters: {{file: {{path: '{}', flush_interval: 100ms}}}}\n\
             service:\n  pipelines: {{metrics: {{receivers: [otlp], exporters: [file]}}}}\n  \
             telemetry: {{metrics: {{level: none}}}}\n",
            file.display()
        );
        let path = folder.join("collector.yaml");
        std::fs::write(&path, config).unwrap();
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let child = Command::new(program)
            .arg("--config")
            .arg(&path)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let collector = Self {
            child,
            address,
            folder,
            file,
        };
        for _ in 0..300 {
            if tokio::net::TcpStream::connect(address).await.is_ok() {
                return collector;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!(
            "{}",
            std::fs::read_to_string(collector.folder.join("log")).unwrap()
        );
    }

    /// Sends one line, of which it has to take all.
    async fn send(&self, line: &str) {
        let answer = Client::new()
            .post(format!("http://{}/v1/metrics", self.address))
            .header(header::CONTENT_TYPE, "application/json")
            .body(line.to_owned())
            .send()
            .await
            .unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert_eq!(status, StatusCode::OK, "{text}: {line}");
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert!(
            answer["partialSuccess"]["rejectedDataPoints"].is_null(),
            "{text}"
        );
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        std::fs::remove_dir_all(&self.folder).ok();
    }
}
