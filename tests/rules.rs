//! The alerting rules for Prometheus in `deploy/prometheus` are those that the crate makes, and each
//! has its page in the runbook.
//!
//! `AIMUX_WRITE=1 cargo test --test rules` writes them anew.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

use aimux_otel::{AlertMetric, AlertRule, Comparison, HistogramForm, Severity, prometheus_rules};
use std::{fs, path::PathBuf};

fn file(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The recommended set, and what it leaves to whoever knows what is much.
fn rules() -> Vec<AlertRule> {
    let mut rules = AlertRule::recommended();
    for (threshold, severity) in [(3_000.0, Severity::Warning), (10_000.0, Severity::Critical)] {
        let metric = AlertMetric::TimeToFirstTokenMs;
        rules.push(AlertRule::new(
            metric,
            Comparison::Above,
            threshold,
            severity,
        ));
    }
    rules
}

#[test]
fn the_files_are_what_the_crate_makes() {
    for (path, form) in [
        (
            "deploy/prometheus/rules-classic.yml",
            HistogramForm::Classic,
        ),
        ("deploy/prometheus/rules-native.yml", HistogramForm::Native),
    ] {
        let made = format!(
            "# Made by `AIMUX_WRITE=1 cargo test --test rules`, of the rules that the crate has.\n{}",
            prometheus_rules(&rules(), form)
        );
        if std::env::var_os("AIMUX_WRITE").is_some() {
            fs::write(file(path), &made).unwrap();
        }
        let there = fs::read_to_string(file(path)).unwrap_or_default();
        assert!(there == made, "{path} is of other rules: write it anew");
    }
}

#[test]
fn each_alert_has_a_page_in_the_runbook() {
    let runbook = fs::read_to_string(file("docs/runbook.md")).unwrap();
    let rules = prometheus_rules(&rules(), HistogramForm::Classic);
    let alerts = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    let alerts: Vec<&str> = alerts.collect();
    assert!(alerts.len() > 20, "{alerts:?}");
    for alert in &alerts {
        assert!(
            runbook.contains(&format!("\n## {alert}\n")),
            "{alert} has none"
        );
    }
    for heading in runbook.lines().filter_map(|line| line.strip_prefix("## ")) {
        assert!(alerts.contains(&heading), "no alert is called {heading}");
    }
}
