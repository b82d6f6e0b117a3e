//! A real Pushgateway and a real Alertmanager get what they should.

use super::{
    gateway::{get, get_json},
    program,
    scrape::free_address,
};
use aimux_otel::{
    AlertMetric, AlertRule, Alertmanager, Comparison, PerformanceMonitor, Pushgateway, Severity,
};
use prometheus::TextEncoder;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

const SECOND: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_pushgateway_has_the_same_numbers() {
    let Some(program) = program("prometheus-pushgateway") else {
        return;
    };
    let server = Running::start(&program, "pushgateway", |_| Vec::new()).await;
    let pushgateway = Pushgateway::new(&server.url, "nightly/evaluation")
        .grouping("instance", "worker:7")
        .interval(SECOND)
        .delete_at_shutdown(true);
    let monitor = PerformanceMonitor::builder()
        .provider("cerebras", ["llama"])
        .endpoint("/v1/chat")
        .pushgateway(pushgateway.clone())
        .build()
        .unwrap();
    for number in 0..500_u64 {
        let took = Duration::from_millis(7 * number + 1);
        let error = if number % 10 == 0 { "timeout" } else { "" };
        let odd = format!("m\"{}\n\\ä\u{1b}", number % 3);
        monitor.record_provider_request("cerebras", &odd, took, error.is_empty(), error, 0.0042);
        let id = monitor.record_request_start("", "/v1/chat", "POST", "", "");
        monitor.record_request_end(id, true, 200, 100 + number, "", 0.0);
    }
    tokio::task::block_in_place(|| monitor.push_to(&pushgateway, PATIENCE).unwrap());

    let own = TextEncoder::new().encode_to_string(&monitor.prometheus_registry().gather());
    let own = samples(&own.unwrap());
    let theirs = samples(&get(&format!("{}/metrics", server.url)).await);
    let group = ["instance=\"worker:7\"", "job=\"nightly/evaluation\""];
    let mut compared = 0;
    for ((name, labels), value) in &own {
        if !["gen_ai_", "http_server_request", "aimux_cost"]
            .iter()
            .any(|p| name.starts_with(p))
        {
            continue;
        }
        // What a terminal would take for a command is marked on the way.
        let mut labels: Vec<String> = labels
            .iter()
            .map(|l| l.replace('\u{1b}', "\u{FFFD}"))
            .collect();
        labels.extend(group.map(str::to_owned));
        labels.sort();
        let pushed = theirs.get(&(name.clone(), labels.clone()));
        assert_eq!(pushed, Some(value), "{name} {labels:?}");
        compared += 1;
    }
    assert!(compared > 100, "{compared}");
    let count = |name: &str| {
        let of_name = theirs.iter().filter(|((n, _), _)| n == name);
        of_name.map(|(_, value)| value).sum::<f64>()
    };
    assert_eq!(
        count("gen_ai_client_operation_duration_seconds_count"),
        500.0
    );
    assert_eq!(count("http_server_request_duration_seconds_count"), 500.0);
    assert_eq!(count("push_failure_time_seconds"), 0.0);

    // Pushed by itself too, and gone at the end.
    until(|| async { monitor.health().pushes["pushgateway"].sent >= 2 }).await;
    tokio::task::block_in_place(|| monitor.shutdown(PATIENCE).unwrap());
    let health = &monitor.health().pushes["pushgateway"];
    assert_eq!(health.sent, health.offered, "{health:?}");
    let groups = get_json(&format!("{}/api/v1/metrics", server.url)).await;
    assert_eq!(groups["data"], serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alertmanager_has_what_fires_once_and_until_it_ends() {
    let Some(program) = program("prometheus-alertmanager") else {
        return;
    };
    let arguments = |folder: &Path| {
        let file = folder.join("alertmanager.yml");
        let config = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n";
        std::fs::write(&file, config).unwrap();
        vec![
            format!("--config.file={}", file.display()),
            format!("--storage.path={}", folder.join("data").display()),
            "--cluster.listen-address=".to_owned(),
        ]
    };
    let server = Running::start(&program, "alertmanager", arguments).await;
    let alertmanager = Alertmanager::new(&server.url)
        .label("cluster", "eu-1")
        .resend(SECOND);
    let monitor = PerformanceMonitor::builder()
        .service_name("gateway")
        .alertmanager(alertmanager)
        .build()
        .unwrap();
    let rule = |metric, severity: Severity| {
        AlertRule::new(metric, Comparison::Above, 1.0, severity).with_id(severity.name())
    };
    let memory = rule(AlertMetric::MemoryUsageMb, Severity::Critical);
    monitor.set_alert(memory).unwrap();
    let slow = rule(AlertMetric::AverageResponseTimeMs, Severity::Warning);
    monitor.set_alert(slow).unwrap();
    for _ in 0..20 {
        monitor.record_provider_request("cerebras", "llama", SECOND, true, "", 0.0);
    }
    tokio::task::block_in_place(|| monitor.collect());

    let url = format!("{}/api/v2/alerts", server.url);
    let firing = || async {
        let mut alerts = get_json(&url).await.as_array().unwrap().clone();
        alerts.sort_by_key(|alert| alert["labels"]["severity"].to_string());
        alerts
    };
    until(|| async { firing().await.len() == 2 }).await;
    // Longer than an alert lasts by itself: it is told again and again, and stays one.
    let sent = || monitor.health().pushes["alertmanager"].sent;
    let before = sent();
    until(|| async { sent() > before + 5 }).await;
    let alerts = firing().await;
    assert_eq!(alerts.len(), 2, "{alerts:#?}");
    let instance = alerts[0]["labels"]["instance"].clone();
    assert!(instance.as_str().unwrap().contains(':'));
    let expected = serde_json::json!({
        "alertname": "memory_usage_mb",
        "metric": "memory_usage_mb",
        "rule": "critical",
        "severity": "critical",
        "service": "gateway",
        "cluster": "eu-1",
        "instance": instance,
    });
    assert_eq!(alerts[0]["labels"], expected);
    assert_eq!(alerts[1]["labels"]["provider"], "cerebras");
    assert_eq!(alerts[1]["labels"]["alertname"], "average_response_time_ms");
    for alert in &alerts {
        assert_eq!(alert["status"]["state"], "active");
        assert!(alert["annotations"]["summary"].as_str().unwrap().len() > 5);
    }

    // One ends, the other one goes on.
    assert!(monitor.remove_alert("critical"));
    tokio::task::block_in_place(|| monitor.collect());
    until(|| async { firing().await.len() == 1 }).await;
    assert_eq!(firing().await[0]["labels"]["provider"], "cerebras");
    // And what fires when the monitor goes away ends by itself.
    tokio::task::block_in_place(|| monitor.shutdown(PATIENCE).unwrap());
    until(|| async { firing().await.is_empty() }).await;
}

/// Values by name and sorted labels.
fn samples(text: &str) -> BTreeMap<(String, Vec<String>), f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let mut labels = split_labels(labels.strip_suffix('}').unwrap());
        for label in &mut labels {
            // It writes 1048576 as 1.048576e+06.
            if let Some(bound) = label.strip_prefix("le=") {
                let bound: f64 = bound.trim_matches('"').parse().unwrap();
                *label = format!("le={bound}");
            }
        }
        labels.sort();
        ((name.to_owned(), labels), value.parse::<f64>().unwrap())
    };
    lines.map(sample).collect()
}

/// `a="b",c="d,\"e"` at its outer commas.
fn split_labels(labels: &str) -> Vec<String> {
    let (mut parts, mut quoted, mut escaped) = (vec![String::new()], false, false);
    for c in labels.chars() {
        match c {
            ',' if !quoted => {
                parts.push(String::new());
                continue;
            }
            '"' if !escaped => quoted = !quoted,
            _ => {}
        }
        escaped = c == '\\' && !escaped;
        parts.last_mut().unwrap().push(c);
    }
    parts.retain(|part| !part.is_empty());
    parts
}

/// Waits until it is so.
async fn until<F: Future<Output = bool>>(is_it: impl Fn() -> F) {
    for _ in 0..600 {
        if is_it().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it never was");
}

/// One of Prometheus' programs; ended when dropped.
struct Running {
    child: Child,
    url: String,
    folder: PathBuf,
}

impl Running {
    async fn start(
        program: &Path,
        name: &str,
        arguments: impl FnOnce(&Path) -> Vec<String>,
    ) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::remove_dir_all(&folder).ok();
        std::fs::create_dir_all(&folder).unwrap();
        let address = free_address();
        let child = Command::new(program)
            .arg(format!("--web.listen-address={address}"))
            .args(arguments(&folder))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let url = format!("http://{address}");
        let ready = format!("{url}/-/ready");
        until(|| async {
            reqwest::get(&ready)
                .await
                .is_ok_and(|r| r.status().is_success())
        })
        .await;
        Self { child, url, folder }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        std::fs::remove_dir_all(&self.folder).ok();
    }
}
