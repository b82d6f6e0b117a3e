//! A flood of names that nobody configured: what is configured stays exact, and little grows.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use aimux_otel::{ExportFormat, PerformanceMonitor, Window};
use serde_json::json;
use std::time::Duration;

const JUNK: usize = 1_000_000;
const CONFIGURED: usize = 20;
const EACH: u64 = 100;

/// Resident memory of this process, in bytes, where the system tells.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1_024)
}

// Alone in its process, since it looks at the memory of all.
#[test]
fn a_million_junk_names_leave_the_configured_ones_exact() {
    let configured: Vec<String> = (0..CONFIGURED).map(|n| format!("model-{n}")).collect();
    let monitor = PerformanceMonitor::builder()
        .provider("p", configured.iter().map(String::as_str))
        .build()
        .unwrap();
    let ask = |model: &str| {
        monitor.record_provider_request("p", model, Duration::from_millis(5), true, "", 0.001);
    };
    let scrape = || {
        let export = monitor.export(ExportFormat::Prometheus, None);
        export.unwrap().into_string().unwrap()
    };
    // What is made once is made: the series of all that may be admitted, the text of a scrape.
    for n in 0..2_000 {
        ask(&format!("warm-{n}"));
    }
    monitor.collect();
    drop(scrape());
    let before = resident();
    for n in 0..JUNK {
        ask(&format!("junk-{n}"));
        if n % 5 == 0 {
            ask("heavy-junk");
        }
    }
    for model in &configured {
        (0..EACH).for_each(|_| ask(model));
    }
    monitor.collect();
    let text = scrape();
    let after = resident();
    assert!(text.len() < 4_000_000, "{}", text.len());
    drop(text);
    if let Some((before, after)) = before.zip(after) {
        let grown = after.saturating_sub(before);
        assert!(grown <= 8 << 20, "{grown} bytes");
    }
    let view = monitor.providers(Window::SinceStart).unwrap();
    let models = &view.providers["p"].model_stats;
    for model in &configured {
        assert_eq!(models[model].stats.total_operations, EACH, "{model}");
        assert_eq!(models[model].total_cost, 0.1, "{model}");
    }
    let all = (2_000 + JUNK + JUNK / 5 + CONFIGURED * EACH as usize) as u64;
    assert_eq!(view.providers["p"].total_requests, all);
    let labels = monitor.cardinality().labels;
    let told = &labels["model"];
    assert_eq!(
        (told.admitted, told.limit),
        (CONFIGURED + 256, CONFIGURED + 256)
    );
    assert_eq!(told.refused, (2_000 - 256 + JUNK + JUNK / 5) as u64);
    let heavy = &told.top_refused[0];
    assert_eq!(heavy.value, "heavy-junk");
    let exact = (JUNK / 5) as u64;
    assert!((exact..=exact + heavy.error).contains(&heavy.count));
    let json = json!(monitor.cardinality());
    assert_eq!(json["labels"]["provider"]["refused"], 0);
}
