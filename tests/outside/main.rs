//! Checks of the example gateway against real programs and real traffic.
//!
//! What a machine lacks is left out, and said so on the terminal; with `AIMUX_OUTSIDE=required`,
//! as in CI, it is a failure instead. What is looked for:
//!
//! - `prometheus`, `promtool`, `prometheus-pushgateway` and `prometheus-alertmanager` on the `PATH`
//! - `AIMUX_OTELCOL`: an OpenTelemetry Collector, as `tests/outside/collector/build.sh` builds one and
//!   prints its path; else `otelcol-contrib` on the `PATH`
//! - `AIMUX_PYTHON`: a Python that has the packages `openai`, `anthropic`, `schemathesis`
//!   and `prometheus-client`, and `litellm` for its table of prices
//! - `AIMUX_TRACE`: a CSV file with the columns `TIMESTAMP,ContextTokens,GeneratedTokens`

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod clients;
mod description;
mod exported;
mod gateway;
mod open_metrics;
mod prices;
mod pushed;
mod replay;
mod scrape;
#[path = "../support/mod.rs"]
mod support;

use std::{ffi::OsString, io::Write, path::PathBuf, process::Command};

/// The file or program that `variable` names; else says what is left out for want of `what`.
fn from_environment(variable: &str, what: &str) -> Option<OsString> {
    let set = std::env::var_os(variable).filter(|value| !value.is_empty());
    if set.is_none() {
        left_out(&format!("{what}: set {variable}"));
    }
    set
}

/// The program `name`, if it runs; else says what is left out.
fn program(name: &str) -> Option<PathBuf> {
    let runs = Command::new(name).arg("--version").output();
    if runs.is_ok_and(|output| output.status.success()) {
        return Some(name.into());
    }
    left_out(&format!("checks with {name}: it is not on the PATH"));
    None
}

fn left_out(what: &str) {
    let required = std::env::var("AIMUX_OUTSIDE").is_ok_and(|value| value == "required");
    assert!(!required, "left out, and AIMUX_OUTSIDE=required: {what}");
    // Past the test harness, which keeps what a passing test prints.
    let line = format!("left out: {what}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}
