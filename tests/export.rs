//! Exports by the API and by their route: one truth in all formats, bounded, and to be trusted.

#![cfg(feature = "server")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]

use aimux_otel::{ExportError, ExportFormat, MonitorBuilder, PerformanceMonitor, Window};
use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    metrics::v1::{metric::Data, number_data_point},
};
use reqwest::{Client, Response, StatusCode, header};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

const FORMATS: [ExportFormat; 4] = ExportFormat::ALL;

fn builder() -> MonitorBuilder {
    PerformanceMonitor::builder()
        .service_name("gateway")
        .provider("cerebras", ["llama3.1-70b", "llama3.1-8b"])
        .collection_interval(Duration::from_secs(3_600))
}

fn serving(builder: MonitorBuilder) -> (PerformanceMonitor, String) {
    let listen = "127.0.0.1:0".parse().unwrap();
    let monitor = builder.serve(listen).build().unwrap();
    let base = format!(
        "http://{}/performance/export",
        monitor.local_addr().unwrap()
    );
    (monitor, base)
}

fn call(monitor: &PerformanceMonitor, provider: &str, model: &str, ms: u64, cost: f64) {
    let took = Duration::from_millis(ms);
    monitor.record_provider_request(provider, model, took, true, "", cost);
}

/// Some calls to two providers, and an operation; collected.
fn measure(monitor: &PerformanceMonitor) {
    for nth in 0..40 {
        call(
            monitor,
            "cerebras",
            "llama3.1-70b",
            100 + nth * 7,
            0.004_200_001,
        );
        call(monitor, "openai", "gpt-4o", 900 + nth, 0.1);
    }
    let took = Duration::from_millis(1_200);
    monitor.record_provider_request("openai", "gpt-4o", took, false, "timeout", 0.0);
    let id = monitor.record_request_start("r", "/v1/chat", "POST", "", "");
    monitor.record_request_end(id, true, 200, 2_048, "", 0.0);
    monitor.collect();
}

async fn get(url: &str) -> Response {
    Client::new().get(url).send().await.unwrap()
}

async fn text(url: &str) -> String {
    let answer = get(url).await;
    assert_eq!(answer.status(), StatusCode::OK, "{url}");
    answer.text().await.unwrap()
}

/// Counts, and sums in full, by metric and provider; of money nano-USD.
type Sums = BTreeMap<(String, String), (u64, f64)>;

const DURATION: &str = "gen_ai.client.operation.duration";
const COST: &str = "aimux.cost";
const PROVIDER: &str = "gen_ai.provider.name";

fn add(sums: &mut Sums, metric: &str, provider: &str, count: u64, sum: f64) {
    if metric == DURATION || metric == COST {
        let of = sums.entry((metric.to_owned(), provider.to_owned()));
        let (counted, summed) = of.or_default();
        *counted += count;
        *summed += sum;
    }
}

fn csv_sums(text: &str) -> Sums {
    let mut sums = Sums::new();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let columns = reader.headers().unwrap().clone();
    for row in reader.records() {
        let row = row.unwrap();
        let cell = |name: &str| &row[columns.iter().position(|c| c == name).unwrap()];
        let count = cell("count").parse().unwrap_or_default();
        let sum = cell("sum").parse().unwrap();
        add(&mut sums, cell("metric"), cell("provider"), count, sum);
    }
    sums
}

fn json_sums(text: &str) -> Sums {
    let export: Value = serde_json::from_str(text).unwrap();
    let mut sums = Sums::new();
    for point in export["points"].as_array().unwrap() {
        let provider = point["attributes"][PROVIDER].as_str().unwrap_or_default();
        let count = point["count"].as_u64().unwrap_or_default();
        let metric = point["metric"].as_str().unwrap();
        add(
            &mut sums,
            metric,
            provider,
            count,
            point["sum"].as_f64().unwrap(),
        );
    }
    sums
}

fn otlp_sums(text: &str) -> Sums {
    let mut sums = Sums::new();
    for line in text.lines() {
        let request: ExportMetricsServiceRequest = serde_json::from_str(line).unwrap();
        let resource = &request.resource_metrics[0].resource.as_ref().unwrap();
        assert!(
            format!("{:?}", resource.attributes).contains(r#"StringValue("gateway")"#),
            "the resource is that of the meter provider"
        );
        let scopes = request
            .resource_metrics
            .into_iter()
            .flat_map(|r| r.scope_metrics);
        for metric in scopes.flat_map(|scope| scope.metrics) {
            let provider = |attributes: &[opentelemetry_proto::tonic::common::v1::KeyValue]| {
                let of = attributes.iter().find(|pair| pair.key == PROVIDER);
                let text = of
                    .map(|pair| format!("{:?}", pair.value))
                    .unwrap_or_default();
                text.split('"').nth(1).unwrap_or_default().to_owned()
            };
            match metric.data.unwrap() {
                Data::ExponentialHistogram(histogram) => {
                    for p in histogram.data_points {
                        let provider = provider(&p.attributes);
                        add(&mut sums, &metric.name, &provider, p.count, p.sum.unwrap());
                    }
                }
                Data::Sum(sum) => {
                    for p in sum.data_points {
                        if let Some(number_data_point::Value::AsDouble(usd)) = p.value {
                            add(&mut sums, &metric.name, &provider(&p.attributes), 0, usd);
                        }
                    }
                }
                _ => {}
            }
        }
    }
    sums
}

fn prometheus_sums(text: &str) -> Sums {
    let mut sums = Sums::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let name = series.split('{').next().unwrap();
        let provider = series.split("gen_ai_provider_name=\"").nth(1);
        let provider = provider
            .and_then(|p| p.split('"').next())
            .unwrap_or_default();
        let number: f64 = value.parse().unwrap();
        match name {
            "gen_ai_client_operation_duration_seconds_count" => {
                add(&mut sums, DURATION, provider, number as u64, 0.0);
            }
            "gen_ai_client_operation_duration_seconds_sum" => {
                add(&mut sums, DURATION, provider, 0, number);
            }
            "aimux_cost_total" => add(&mut sums, COST, provider, 0, number),
            _ => {}
        }
    }
    sums
}

fn sums(format: ExportFormat, text: &str) -> Sums {
    match format {
        ExportFormat::Json => json_sums(text),
        ExportFormat::Prometheus => prometheus_sums(text),
        ExportFormat::Csv => csv_sums(text),
        _ => otlp_sums(text),
    }
}

/// The same, but for what the order of additions does to the last digit; money to the nano.
fn assert_same(found: &Sums, expected: &Sums, what: &str) {
    for (of, (count, sum)) in expected {
        let (counted, summed) = found.get(of).copied().unwrap_or_default();
        assert_eq!(counted, *count, "{what}: {of:?}");
        if of.0 == COST {
            let nano = |usd: f64| (usd * 1e9).round() as i64;
            assert_eq!(nano(summed), nano(*sum), "{what}: {of:?}");
        } else {
            assert!(
                (summed - sum).abs() <= sum * 1e-12,
                "{what}: {of:?}: {summed} {sum}"
            );
        }
    }
}

#[tokio::test]
async fn all_formats_have_the_numbers_of_the_views_and_of_metrics() {
    let (monitor, base) = serving(builder());
    measure(&monitor);
    let report = monitor.report(Window::SinceStart).unwrap();
    let mut expected = Sums::new();
    for (name, provider) in &report.provider_performance {
        let count = provider.total_requests;
        let average = provider.average_response_time_ms.unwrap();
        add(
            &mut expected,
            DURATION,
            name,
            count,
            average * count as f64 / 1e3,
        );
        add(&mut expected, COST, name, 0, provider.total_cost);
    }
    assert_eq!(expected[&(DURATION.to_owned(), "openai".to_owned())].0, 41);
    assert_eq!(
        expected[&(COST.to_owned(), "cerebras".to_owned())].1,
        0.168_000_04
    );
    for format in FORMATS {
        let by_api = monitor.export(format, None).unwrap().into_string().unwrap();
        assert_same(&sums(format, &by_api), &expected, format.name());
        let by_route = text(&format!("{base}?format={format}")).await;
        assert_same(&sums(format, &by_route), &expected, format.name());
    }
    let metrics = text(&base.replace("performance/export", "metrics")).await;
    assert_same(&prometheus_sums(&metrics), &expected, "/metrics");
    let json: Value = serde_json::from_str(&text(&base).await).unwrap();
    let of_report: Value = serde_json::to_value(&report).unwrap();
    for field in [
        "provider_performance",
        "endpoint_performance",
        "summary",
        "aggregated",
    ] {
        assert_eq!(json[field], of_report[field], "{field}");
    }
}

#[tokio::test]
async fn what_changed_since_the_end_of_an_export_is_told_once() {
    let (monitor, base) = serving(builder());
    measure(&monitor);
    let whole = |monitor: &PerformanceMonitor, format| {
        let export = monitor.export(format, None).unwrap();
        sums(format, &export.into_string().unwrap())
    };
    for (format, form) in [
        (ExportFormat::Csv, "seconds"),
        (ExportFormat::Otlp, "date"),
        (ExportFormat::Json, "seconds"),
    ] {
        let url = format!("{base}?format={format}");
        let first = get(&url).await;
        let mut end = first.headers()["aimux-window-end"]
            .to_str()
            .unwrap()
            .to_owned();
        let mut added = sums(format, &first.text().await.unwrap());
        for nth in 0..4 {
            call(&monitor, "cerebras", "llama3.1-70b", 50 + nth, 0.000_000_1);
            // Two collections within a second become one slot, but not across the end of an export.
            monitor.collect();
            if nth == 2 {
                continue;
            }
            let since = if form == "date" {
                end.clone()
            } else {
                seconds(&end)
            };
            let next = get(&format!("{url}&since={since}")).await;
            let headers = next.headers().clone();
            assert_eq!(headers["aimux-window-exact"], "true", "{format} {nth}");
            assert_eq!(headers["aimux-window-start"].to_str().unwrap(), end);
            end = headers["aimux-window-end"].to_str().unwrap().to_owned();
            let text = next.text().await.unwrap();
            let changed = sums(format, &text);
            assert!(changed.keys().all(|(_, provider)| provider == "cerebras"));
            for ((metric, provider), (count, sum)) in changed {
                add(&mut added, &metric, &provider, count, sum);
            }
        }
        assert_same(&added, &whole(&monitor, format), format.name());
    }
}

/// RFC 3339 as Unix seconds, to the microsecond, as JSON answers have it.
fn seconds(time: &str) -> String {
    let output = std::process::Command::new("date")
        .args(["-u", "-d", time, "+%s.%6N"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn prometheus_leaves_out_what_is_known_not_to_have_changed() {
    let (monitor, base) = serving(builder());
    measure(&monitor);
    let meter = opentelemetry::metrics::MeterProvider::meter(monitor.meter_provider(), "host");
    meter.u64_counter("host.jobs").build().add(3, &[]);
    let url = format!("{base}?format=prometheus");
    let first = get(&url).await;
    let end = first.headers()["aimux-window-end"]
        .to_str()
        .unwrap()
        .to_owned();
    let first = first.text().await.unwrap();
    assert!(first.contains("gen_ai_provider_name=\"openai\""));
    assert!(first.starts_with("# What was counted after "), "{first}");
    call(&monitor, "cerebras", "llama3.1-70b", 50, 0.25);
    monitor.collect();
    let since = text(&format!("{url}&since={end}")).await;
    let names = |text: &str, provider: &str| {
        let of = format!("gen_ai_provider_name=\"{provider}\"");
        let lines = text.lines().filter(|line| line.contains(&of));
        lines
            .filter(|line| line.contains("_count{") || line.contains("_total{"))
            .count()
    };
    assert_eq!(names(&since, "openai"), 0, "{since}");
    assert_eq!(names(&since, "cerebras"), 2, "duration and cost: {since}");
    assert!(!since.contains("llama3.1-8b"), "never used: {since}");
    assert!(
        since.contains("host_jobs_total"),
        "not known to be unchanged: {since}"
    );
    assert!(since.lines().next().unwrap().contains(&end));
    // All that is there is as it is on `/metrics`.
    let metrics = text(&base.replace("performance/export", "metrics")).await;
    let metrics: Vec<&str> = metrics.lines().collect();
    let changing = |line: &&str| line.starts_with("aimux_monitor") || line.starts_with("# ");
    for line in since.lines().filter(|line| !changing(line)) {
        assert!(metrics.contains(&line), "{line}");
    }
}

#[tokio::test]
async fn each_format_is_a_file_of_its_type() {
    let (monitor, base) = serving(builder());
    measure(&monitor);
    for (format, content_type, extension) in [
        ("json", "application/json", "json"),
        (
            "prometheus",
            "text/plain; version=0.0.4; charset=utf-8",
            "prom",
        ),
        ("csv", "text/csv; charset=utf-8; header=present", "csv"),
        ("otlp", "application/x-ndjson", "jsonl"),
    ] {
        let url = format!("{base}?format={format}");
        for answer in [
            get(&url).await,
            Client::new().head(&url).send().await.unwrap(),
        ] {
            assert_eq!(answer.status(), StatusCode::OK);
            let headers = answer.headers();
            assert_eq!(headers[header::CONTENT_TYPE], content_type);
            assert_eq!(headers[header::CACHE_CONTROL], "no-store");
            let disposition = headers[header::CONTENT_DISPOSITION].to_str().unwrap();
            let name = disposition
                .strip_prefix("attachment; filename=\"performance-")
                .unwrap();
            let name = name.strip_suffix(&format!("Z.{extension}\"")).unwrap();
            assert!(
                name.chars().all(|c| c.is_ascii_digit() || c == 'T'),
                "{name}"
            );
        }
    }
    let answer = get(&base).await;
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/json");
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused() {
    let (monitor, base) = serving(builder());
    measure(&monitor);
    let now = monitor
        .export(ExportFormat::Csv, None)
        .unwrap()
        .window_end();
    let later = now.after(Duration::from_secs(3_600));
    let later = later.as_unix_seconds();
    for (query, field) in [
        ("format=xml", "format"),
        ("format=", "format"),
        ("format=JSON", "format"),
        ("format=csv&format=csv", "format"),
        ("since=", "since"),
        ("since=NaN", "since"),
        ("since=inf", "since"),
        ("since=-1", "since"),
        ("since=1e9", "since"),
        ("since=yesterday", "since"),
        ("since=1969-12-31T23:59:59Z", "since"),
        ("since=2026-02-30T00:00:00Z", "since"),
        ("since=99999999999999999999", "since"),
        ("since=9999-12-31T23:59:59Z", "since"),
        (&*format!("since={later}"), "since"),
        ("window=5m", "window"),
    ] {
        let answer = get(&format!("{base}?{query}")).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{query}");
        let content_type = &answer.headers()[header::CONTENT_TYPE];
        assert_eq!(content_type, "application/problem+json", "{query}");
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["field"], field, "{query}: {problem}");
        assert!(
            !problem["allowed"].as_array().unwrap().is_empty(),
            "{query}: {problem}"
        );
    }
    let post = Client::new().post(&base).send().await.unwrap();
    assert_eq!(post.status(), StatusCode::METHOD_NOT_ALLOWED);
    let later = now.after(Duration::from_secs(60));
    let refused = monitor.export(ExportFormat::Csv, Some(later));
    assert!(matches!(refused, Err(ExportError::SinceInFuture { since, .. }) if since == later));
}

#[tokio::test]
async fn a_time_before_what_is_kept_is_answered_from_the_oldest() {
    let (monitor, base) = serving(builder());
    measure(&monitor);
    for since in ["0", "1970-01-01T00:00:00Z", "1000000000.5"] {
        let answer = get(&format!("{base}?since={since}")).await;
        // All since the start is kept.
        assert_eq!(answer.headers()["aimux-window-exact"], "true");
        let json: Value = answer.json().await.unwrap();
        assert_eq!(json["summary"]["total_requests"], 81);
        assert!(json["window_start"].as_f64() > json["since"].as_f64());
    }
}

/// Labels that nobody meant well.
const HOSTILE: [&str; 5] = [
    "=HYPERLINK(\"http://x\")",
    "a\"},{\"b\":\"",
    "x,y\r\nz",
    "\u{202e}gnp.exe",
    "-2+3\t",
];

#[tokio::test]
async fn hostile_labels_stay_where_they_are() {
    let monitor = builder().build().unwrap();
    let meter = opentelemetry::metrics::MeterProvider::meter(monitor.meter_provider(), "=host");
    // Past the tables of labels, as another library would.
    let histogram = meter.f64_histogram(DURATION).with_unit("s\"=1").build();
    for text in HOSTILE {
        let attributes = [
            opentelemetry::KeyValue::new(PROVIDER, text),
            opentelemetry::KeyValue::new(text, text),
        ];
        histogram.record(1.0, &attributes);
    }
    monitor.collect();
    for format in FORMATS {
        let text = monitor.export(format, None).unwrap().into_string().unwrap();
        let shown = |c: char| !c.is_control() || matches!(c, '\n' | '\r');
        assert!(
            text.chars().all(|c| shown(c) && c != '\u{202e}'),
            "{format}"
        );
    }
    let text = |format| monitor.export(format, None).unwrap().into_string().unwrap();
    let csv = text(ExportFormat::Csv);
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(csv.lines().count(), 1 + rows.len(), "a row is a line");
    let hosts = rows
        .iter()
        .filter(|row| row.iter().any(|cell| cell == DURATION));
    assert_eq!(hosts.count(), HOSTILE.len());
    for cell in rows.iter().flatten() {
        assert!(!cell.starts_with(['=', '+', '-', '@']), "{cell}");
    }
    let export: Value = serde_json::from_str(&text(ExportFormat::Json)).unwrap();
    let points = export["points"].as_array().unwrap();
    let mut labels: Vec<&str> = points
        .iter()
        .filter(|point| point["metric"] == DURATION)
        .map(|point| point["attributes"][PROVIDER].as_str().unwrap())
        .collect();
    labels.sort_unstable();
    let mut expected = HOSTILE;
    expected.sort_unstable();
    assert_eq!(labels, expected, "JSON loses nothing");
    let lines = text(ExportFormat::Otlp);
    for line in lines.lines() {
        serde_json::from_str::<ExportMetricsServiceRequest>(line).unwrap();
    }
}

/// So many series that an export does not fit into the buffers between here and its client.
fn fill(monitor: &PerformanceMonitor) {
    let meter = opentelemetry::metrics::MeterProvider::meter(monitor.meter_provider(), "host");
    let histogram = meter.f64_histogram(DURATION).build();
    let long = "x".repeat(4_000);
    for number in 0..3_900 {
        let model = opentelemetry::KeyValue::new("gen_ai.request.model", number);
        let pad = opentelemetry::KeyValue::new("pad", long.clone());
        histogram.record(1.0, &[model, pad]);
    }
    monitor.collect();
}

/// Asks, and reads no more than the head.
fn ask(base: &str) -> (TcpStream, String) {
    let address = base
        .trim_start_matches("http://")
        .split('/')
        .next()
        .unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let request = "GET /performance/export?format=csv HTTP/1.1\r\nhost: localhost\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    (stream, String::from_utf8(head).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_exports_at_once_are_enough_and_others_are_not_kept_waiting() {
    let (monitor, base) = serving(builder());
    fill(&monitor);
    let (first, head) = ask(&base);
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let (second, head) = ask(&base);
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    // Neither reads on, and both are not over yet.
    let third = get(&base).await;
    assert_eq!(third.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(third.headers()[header::RETRY_AFTER], "5");
    let content_type = &third.headers()[header::CONTENT_TYPE];
    assert_eq!(content_type, "application/problem+json");
    // No thread waits for them: all other routes answer, and so does the API.
    let view = text(&base.replace("/export", "/providers")).await;
    assert!(view.contains("providers_count"));
    let by_api = monitor.export(ExportFormat::Csv, None).unwrap();
    assert!(by_api.into_string().unwrap().len() > 15_000_000);
    drop(first);
    // As soon as the server has seen that.
    loop {
        let again = get(&format!("{base}?format=csv")).await;
        if again.status() == StatusCode::OK {
            let text = again.text().await.unwrap();
            let rows = text.lines().filter(|row| row.contains(",host,"));
            assert_eq!(rows.count(), 3_900);
            break;
        }
        assert_eq!(again.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
    drop(second);
}
