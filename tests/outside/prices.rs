//! The real table of prices that the field shares, as the Python package litellm carries it: every
//! model that has a price for what it is asked is priced, exactly by its entry.

use super::from_environment;
use aimux_otel::{Limits, PerformanceMonitor, PriceTable, TokenUsage, Window};
use serde_json::{Map, Value};
use std::{path::Path, process::Command};

/// Models of one monitor: so many pairs have a price of their own.
const AT_ONCE: usize = 400;
/// Short of every tier there is.
const TOKENS: u64 = 1_000;

#[test]
fn the_table_that_the_field_shares_is_read() {
    let what = "the check of prices with the table of the Python package litellm";
    let Some(python) = from_environment("AIMUX_PYTHON", what) else {
        return;
    };
    // To find the package runs nothing of it.
    let find = "import importlib.util; print(importlib.util.find_spec('litellm').origin)";
    let found = Command::new(python).args(["-c", find]).output().unwrap();
    assert!(
        found.status.success(),
        "{}",
        String::from_utf8_lossy(&found.stderr)
    );
    let package = String::from_utf8(found.stdout).unwrap();
    let folder = Path::new(package.trim()).parent().unwrap();
    let path = folder.join("model_prices_and_context_window_backup.json");
    let entries: Map<String, Value> =
        serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let number = |entry: &Value, key: &str| entry.get(key).and_then(Value::as_f64);
    let priced: Vec<(&str, &str, f64)> = entries
        .iter()
        .filter(|(model, entry)| *model != "sample_spec" && entry.get("tiered_pricing").is_none())
        .filter_map(|(model, entry)| {
            let provider = entry.get("litellm_provider")?.as_str()?;
            // That one says more, and wins.
            if entries.contains_key(&format!("{provider}/{model}")) {
                return None;
            }
            let input = number(entry, "input_cost_per_token")?;
            let output = number(entry, "output_cost_per_token")?;
            Some((provider, model.as_str(), (input + output) * TOKENS as f64))
        })
        .collect();
    assert!(priced.len() > 2_000, "{}", priced.len());

    let mut limits = Limits::default();
    (limits.providers, limits.models) = (AT_ONCE, AT_ONCE);
    for some in priced.chunks(AT_ONCE) {
        let monitor = PerformanceMonitor::builder()
            .limits(limits)
            .price_table(PriceTable::load(&path).unwrap())
            .build()
            .unwrap();
        let table = monitor.price_table().unwrap();
        assert_eq!(table.skipped, 0, "{:?}", table.skipped_entries);
        for (provider, model, _) in some {
            let mut call = monitor.provider_call(provider, model);
            call.usage(TokenUsage::new(TOKENS, TOKENS));
            call.finish();
        }
        monitor.collect();
        let view = monitor.providers(Window::SinceStart).unwrap();
        assert!(
            view.unpriced_models.is_empty(),
            "{:?}",
            view.unpriced_models
        );
        for (provider, model, usd) in some {
            let seen = view.providers[*provider].model_stats[*model].total_cost;
            // Each is summed in floating point here, which is right to far below a nano-dollar.
            assert!(
                (seen - usd).abs() <= 1e-9,
                "{provider} {model}: {seen}, not {usd}"
            );
        }
    }
}
