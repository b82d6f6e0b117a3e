//! The OpenAPI description against what the monitor really does: schemathesis makes requests that
//! the description allows and such that it does not, and checks every answer.

use super::{from_environment, gateway::Gateway};
use serde_json::Value;
use std::{
    ffi::OsStr,
    path::Path,
    process::{Child, Command, Stdio},
};

/// Requests at the least, as the hooks count them.
const CASES: u64 = 5_000;
/// Requests at the most for each method at each path.
const EXAMPLES: &str = "500";
const CONFIG: &str = "/performance/config";

#[test]
fn every_answer_is_as_it_is_described() {
    let what = "the check of the description with the Python package schemathesis";
    let Some(python) = from_environment("AIMUX_PYTHON", what) else {
        return;
    };
    // A change of the configuration changes what the other routes answer: so there are two
    // gateways, and they keep two cores busy.
    let config = Run::start(&python, "description-config", "--include-path");
    let others = Run::start(&python, "description-others", "--exclude-path");
    let (config, others) = (config.end(), others.end());
    let sum = |name: &str| config[name].as_u64().unwrap() + others[name].as_u64().unwrap();
    assert!(sum("cases") >= CASES, "{config} {others}");
    for name in ["refused", "compared", "changed"] {
        assert!(sum(name) > 100, "{name}: {config} {others}");
    }
}

struct Run {
    gateway: Gateway,
    schemathesis: Child,
    counted: std::path::PathBuf,
}

impl Run {
    fn start(python: &OsStr, name: &str, paths: &str) -> Self {
        let gateway = Gateway::start(name, &["--duration", "2", "--speed", "20"], &[]);
        gateway.summary();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let counted = folder.join("counted.json");
        std::fs::remove_file(&counted).ok();
        let hooks = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/outside/description.py");
        let schemathesis = Command::new(python)
            .args(["-m", "schemathesis.cli", "run"])
            .arg(format!("{}/performance/openapi.json", gateway.monitor))
            .args([paths, CONFIG])
            .args(["--phases", "coverage,fuzzing", "--max-examples", EXAMPLES])
            // Ours takes its place: what may be asked for depends on the retention too.
            .args([
                "--checks",
                "all",
                "--exclude-checks",
                "positive_data_acceptance",
            ])
            .args(["--continue-on-failure", "--seed", "1"])
            .env("SCHEMATHESIS_HOOKS", hooks)
            .env("AIMUX_COUNTED", &counted)
            // It keeps what it found where it runs.
            .current_dir(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            gateway,
            schemathesis,
            counted,
        }
    }

    /// What the hooks counted, once it has ended without a failure.
    fn end(self) -> Value {
        let output = self.schemathesis.wait_with_output().unwrap();
        self.gateway.end();
        let said = String::from_utf8_lossy(&output.stdout);
        let complained = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}{complained}");
        serde_json::from_slice(&std::fs::read(self.counted).unwrap()).unwrap()
    }
}
