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
/// What one half of the machine checks; the other checks the rest, which takes about as long.
const HALF: &str = "/(config|memory|experiments)$";

#[test]
fn every_answer_is_as_it_is_described() {
    let what = "the check of the description with the Python package schemathesis";
    let Some(python) = from_environment("AIMUX_PYTHON", what) else {
        return;
    };
    // A change of the configuration changes what the other routes answer, so there is a gateway
    // for each.
    let half = Run::start(&python, "description-half", "--include-path-regex");
    let rest = Run::start(&python, "description-rest", "--exclude-path-regex");
    let (half, rest) = (half.end(), rest.end());
    let sum = |name: &str| half[name].as_u64().unwrap() + rest[name].as_u64().unwrap();
    assert!(sum("cases") >= CASES, "{half} {rest}");
    for (name, least) in [("refused", 1_000), ("compared", 100), ("changed", 50)] {
        assert!(sum(name) >= least, "{name}: {half} {rest}");
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
            .args([paths, HALF])
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
