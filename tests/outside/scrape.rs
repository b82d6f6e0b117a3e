//! A real Prometheus scrapes the gateway under load, and `promtool` finds nothing wrong.

use super::{
    gateway::{Gateway, get, get_json},
    program,
};
use serde_json::Value;
use std::{
    io::Write,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// What promtool does not like, and the conventions of OpenTelemetry want: they call two gauges a
/// count, and everybody who exposes them does.
const KNOWN_COMPLAINTS: [&str; 2] = [
    r#"process_thread_count non-histogram and non-summary metrics should not have "_count" suffix"#,
    r#"process_unix_file_descriptor_count non-histogram and non-summary metrics should not have "_count" suffix"#,
];

#[tokio::test(flavor = "multi_thread")]
async fn promtool_accepts_the_exposition_under_load() {
    let Some(promtool) = program("promtool") else {
        return;
    };
    let gateway = Gateway::start("promtool", &["--speed", "20", "--seed", "7"], &[]);
    let export = "performance/export?format=prometheus";
    let since = format!("{export}&since=0");
    for path in ["metrics", "metrics", export, "metrics", &since] {
        let exposition = get(&format!("{}/{path}", gateway.monitor)).await;
        let mut check = Command::new(&promtool)
            .args(["check", "metrics", "--extended"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        check
            .stdin
            .take()
            .unwrap()
            .write_all(exposition.as_bytes())
            .unwrap();
        let output = check.wait_with_output().unwrap();
        let said =
            String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
        let is_new = |line: &&str| !line.is_empty() && !KNOWN_COMPLAINTS.contains(line);
        let complaints: Vec<&str> = said.lines().filter(is_new).collect();
        assert!(complaints.is_empty(), "{complaints:#?}\n{exposition}");
        // It has these, and so says that it has.
        assert!(matches!(output.status.code(), Some(0 | 3)), "{output:?}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_finds_the_gateway_up_under_load() {
    let Some(program) = program("prometheus") else {
        return;
    };
    let gateway = Gateway::start("prometheus", &["--speed", "20", "--seed", "8"], &[]);
    let prometheus = Prometheus::start(&program, &gateway.monitor);
    // A scrape each second: several under load, one after the other.
    let mut last = 0.0;
    for _ in 0..3 {
        last = prometheus
            .grown("sum(gen_ai_client_operation_duration_seconds_count)", last)
            .await;
    }
    assert_eq!(prometheus.query("min_over_time(up[10m])").await, Some(1.0));
    let quantile =
        "histogram_quantile(0.95, sum by (le) (gen_ai_client_operation_duration_seconds_bucket))";
    assert!(prometheus.query(quantile).await.unwrap() > 0.0);
}

/// A Prometheus server that scrapes one target; ended when dropped.
pub(super) struct Prometheus {
    child: Child,
    pub(super) url: String,
    folder: PathBuf,
}

impl Prometheus {
    fn start(program: &Path, monitor: &str) -> Self {
        Self::start_with(program, "prometheus", monitor, &[])
    }

    /// With more arguments, and a folder of this name.
    pub(super) fn start_with(
        program: &Path,
        name: &str,
        monitor: &str,
        arguments: &[&str],
    ) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::remove_dir_all(&folder).ok();
        std::fs::create_dir_all(&folder).unwrap();
        let target = monitor.trim_start_matches("http://");
        let config = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
             scrape_configs:\n  - job_name: gateway\n    static_configs: [{{targets: ['{target}']}}]\n"
        );
        let file = folder.join("prometheus.yml");
        std::fs::write(&file, config).unwrap();
        let address = free_address();
        let child = Command::new(program)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            child,
            url: format!("http://{address}"),
            folder,
        }
    }

    /// Waits until the value of `query` is above `last`; the value.
    pub(super) async fn grown(&self, query: &str, last: f64) -> f64 {
        for _ in 0..300 {
            if let Some(value) = self.query(query).await
                && value > last
            {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let targets = get_json(&format!("{}/api/v1/targets", self.url)).await;
        panic!("{query} has not grown beyond {last}: {targets:#}");
    }

    async fn query(&self, query: &str) -> Option<f64> {
        let mut url = reqwest::Url::parse(&format!("{}/api/v1/query", self.url)).unwrap();
        url.query_pairs_mut().append_pair("query", query);
        let answer = reqwest::get(url).await.ok()?.text().await.ok()?;
        let answer: Value = serde_json::from_str(&answer).ok()?;
        answer["data"]["result"][0]["value"][1]
            .as_str()?
            .parse()
            .ok()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

/// An address on loopback that was free a moment ago.
pub(super) fn free_address() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}
