//! The example gateway as a process.

use serde_json::Value;
use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{OnceLock, mpsc},
    time::Duration,
};

/// Longer than any run here may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// A running gateway; ended when dropped.
pub(crate) struct Gateway {
    child: Child,
    lines: mpsc::Receiver<String>,
    /// Where its summary goes.
    summary: PathBuf,
    pub(crate) url: String,
    pub(crate) monitor: String,
}

impl Gateway {
    /// Starts the gateway on free ports and waits until it tells its addresses.
    pub(crate) fn start(name: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let summary = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.json"));
        std::fs::remove_file(&summary).ok();
        let mut child = Command::new(executable())
            .args(["--listen", "127.0.0.1:0", "--monitor-listen", "127.0.0.1:0"])
            .args(["--hold", "--json"])
            .arg(&summary)
            .args(arguments)
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (line, lines) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for text in stdout.lines().map_while(Result::ok) {
                if line.send(text).is_err() {
                    break;
                }
            }
        });
        let mut gateway = Self {
            child,
            lines,
            summary,
            url: String::new(),
            monitor: String::new(),
        };
        gateway.url = gateway.wait_for_url("gateway");
        gateway.monitor = gateway.wait_for_url("monitor");
        gateway
    }

    /// Waits until the traffic has ended and the summary is written; the summary.
    pub(crate) fn summary(&self) -> Value {
        self.wait_for(|line| line.starts_with("summary"));
        serde_json::from_slice(&std::fs::read(&self.summary).unwrap()).unwrap()
    }

    /// Ends it as Ctrl-C does.
    pub(crate) fn interrupt(&mut self) {
        let id = self.child.id().to_string();
        Command::new("kill").args(["-INT", &id]).status().unwrap();
    }

    /// Waits until it has ended, in an orderly way.
    pub(crate) fn end(mut self) {
        self.interrupt();
        assert!(self.child.wait().unwrap().success());
    }

    /// A line that begins with `what` and holds a URL.
    fn wait_for_url(&self, what: &str) -> String {
        let line = self.wait_for(|line| line.starts_with(what) && line.contains("http://"));
        let url = line
            .split_whitespace()
            .find(|word| word.starts_with("http://"));
        url.unwrap().trim_end_matches('/').to_owned()
    }

    fn wait_for(&self, is_it: impl Fn(&str) -> bool) -> String {
        loop {
            let line = self
                .lines
                .recv_timeout(PATIENCE)
                .expect("the gateway ended too early");
            if is_it(line.trim_start()) {
                return line.trim_start().to_owned();
            }
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

/// The example, built in the profile of this test: `cargo test --test outside` alone does not.
fn executable() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let own = std::env::current_exe().unwrap();
        let profile = own.parent().and_then(Path::parent).unwrap();
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--example", "gateway"]);
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().unwrap().success());
        profile.join("examples").join("gateway")
    })
}

pub(crate) async fn get(url: &str) -> String {
    let response = reqwest::get(url).await.unwrap();
    assert!(
        response.status().is_success(),
        "{url}: {}",
        response.status()
    );
    response.text().await.unwrap()
}

pub(crate) async fn get_json(url: &str) -> Value {
    serde_json::from_str(&get(url).await).unwrap()
}
