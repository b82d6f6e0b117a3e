//! What calls cost, by a price table: to the nano-dollar, and never silently nothing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use aimux_otel::{
    BuildError, ExportFormat, Limits, PerformanceEvent, PerformanceEventType, PerformanceMonitor,
    PriceTable, PriceTableError, ProvidersView, TokenUsage, Window,
};
use serde_json::{Value, json};
use std::{fs, time::Duration};

fn table(entries: &Value) -> PriceTable {
    PriceTable::from_json(&entries.to_string()).unwrap()
}

fn priced(usd_per_token: f64) -> Value {
    json!({"litellm_provider": "p", "input_cost_per_token": usd_per_token, "output_cost_per_token": 0.0})
}

fn call(monitor: &PerformanceMonitor, model: &str, usage: TokenUsage) {
    let mut call = monitor.provider_call("p", model);
    call.usage(usage);
    call.finish();
}

fn view(monitor: &PerformanceMonitor) -> ProvidersView {
    monitor.collect();
    monitor.providers(Window::SinceStart).unwrap()
}

#[test]
fn a_million_calls_cost_the_exact_sum_everywhere() {
    let entries = json!({"m": {
        "litellm_provider": "p",
        "input_cost_per_token": 3e-08,
        "output_cost_per_token": 1.25e-08,
        "cache_read_input_token_cost": 5e-10,
    }});
    let builder = PerformanceMonitor::builder().price_table(table(&entries));
    let monitor = builder.build().unwrap();
    // By the rules of decimals, in tenths of a nano-dollar, each call rounded half to even.
    let mut sum = 0_i64;
    for n in 0..1_000_000_u64 {
        let (input, output, read) = (100 + n % 7, n % 11, n % 5);
        call(
            &monitor,
            "m",
            TokenUsage::new(input, output).cache_read(read),
        );
        let tenths = (input - read) * 300 + output * 125 + read * 5;
        let (nanos, rest) = (tenths / 10, tenths % 10);
        let up = rest > 5 || rest == 5 && nanos % 2 == 1;
        sum += i64::try_from(nanos + u64::from(up)).unwrap();
    }
    let view = view(&monitor);
    let shown = |usd: f64| (usd * 1e9).round() as i64;
    assert_eq!(monitor.health().counted, 1_000_000);
    assert_eq!(shown(view.providers["p"].total_cost), sum);
    assert_eq!(shown(view.summary.total_estimated_cost), sum);
    let whole = format!("{}.{:09}", sum / 1_000_000_000, sum % 1_000_000_000);
    let whole = whole.trim_end_matches('0');
    let text = json!(view.providers["p"].total_cost).to_string();
    assert_eq!(text, whole, "to the nano-dollar, and no digit more");
    assert!(view.unpriced_models.is_empty());

    let mut otlp = Vec::new();
    let export = monitor.export(ExportFormat::Prometheus, None);
    export.unwrap().write_to(&mut otlp).unwrap();
    let text = String::from_utf8(otlp).unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with("aimux_cost_total{"))
        .unwrap();
    assert_eq!(line.rsplit(' ').next().unwrap(), whole);
    let mut otlp = Vec::new();
    monitor
        .export(ExportFormat::Otlp, None)
        .unwrap()
        .write_to(&mut otlp)
        .unwrap();
    let text = String::from_utf8(otlp).unwrap();
    assert!(text.contains(&format!("\"asDouble\":{whole}")), "{whole}");
}

#[test]
fn a_cost_that_is_told_wins_and_what_has_no_price_is_told() {
    let monitor = PerformanceMonitor::builder()
        .provider("p", ["m"])
        .price_table(table(&json!({"m": priced(1e-06)})))
        .build()
        .unwrap();
    call(&monitor, "m-20250101", TokenUsage::new(1_000, 0));
    let mut told = monitor.provider_call("p", "m");
    told.usage(TokenUsage::new(1_000, 0)).cost(0.25);
    told.finish();
    for _ in 0..3 {
        call(
            &monitor,
            "other",
            TokenUsage::new(1_000, 0).reasoning(7).cache_write(9),
        );
    }
    call(&monitor, "another", TokenUsage::new(1, 1));
    // Nothing was used: there is nothing to price.
    monitor.provider_call("p", "idle").finish();
    let view = view(&monitor);
    let models = &view.providers["p"].model_stats;
    assert_eq!(models["m-20250101"].total_cost, 0.001);
    assert_eq!(models["m"].total_cost, 0.25);
    assert_eq!(models["other"].total_cost, 0.0);
    assert_eq!(models["other"].reasoning_tokens, 21);
    assert_eq!(models["other"].cache_write_tokens, 27);
    assert_eq!(models["other"].cache_read_tokens, 0);
    assert_eq!(
        json!(view.unpriced_models),
        json!([
            {"provider": "p", "model": "other", "requests": 3},
            {"provider": "p", "model": "another", "requests": 1},
        ])
    );
    let prices = view.prices.unwrap();
    assert_eq!((prices.entries, prices.skipped), (1, 0));
    let events = monitor.recent_events();
    let of = |model: &str| {
        let event = events.iter().find(|event| event.metadata["model"] == model);
        event.unwrap().metadata.get("cost").cloned()
    };
    assert_eq!(of("m-20250101").as_deref(), Some("0.001"));
    assert_eq!(of("other"), None);
}

#[test]
fn who_was_not_admitted_has_no_price() {
    let mut limits = Limits::default();
    limits.providers = 0;
    let monitor = PerformanceMonitor::builder()
        .limits(limits)
        .price_table(table(&json!({"m": priced(1e-06)})))
        .build()
        .unwrap();
    call(&monitor, "m", TokenUsage::new(1_000, 0));
    let view = view(&monitor);
    let other = &view.providers["_OTHER"];
    assert_eq!((other.total_cost, other.input_tokens), (0.0, 1_000));
    assert_eq!(
        json!(view.unpriced_models),
        json!([{"provider": "_OTHER", "model": "m", "requests": 1}])
    );
}

#[test]
fn another_table_counts_from_then_on() {
    let path = std::env::temp_dir().join(format!("aimux-prices-{}.json", std::process::id()));
    fs::write(&path, json!({"m": priced(1e-06)}).to_string()).unwrap();
    let monitor = PerformanceMonitor::builder()
        .price_file(&path)
        .build()
        .unwrap();
    let first = monitor.price_table().unwrap().version;
    let thousand = || call(&monitor, "m", TokenUsage::new(1_000, 0));
    thousand();
    assert_eq!(view(&monitor).providers["p"].total_cost, 0.001);
    fs::write(&path, json!({"m": priced(2e-06)}).to_string()).unwrap();
    thousand();
    assert_eq!(
        view(&monitor).providers["p"].total_cost,
        0.002,
        "not read again yet"
    );
    let second = monitor.reload_prices().unwrap();
    assert_ne!(second.version, first);
    thousand();
    assert_eq!(view(&monitor).providers["p"].total_cost, 0.004);
    fs::write(&path, "{").unwrap();
    let error = monitor.reload_prices().unwrap_err();
    assert!(matches!(error, PriceTableError::InFile { .. }), "{error}");
    assert_eq!(
        monitor.price_table().unwrap().version,
        second.version,
        "the table stays"
    );
    monitor.set_price_table(table(&json!({"m": priced(0.0)})).with_version("free"));
    thousand();
    let view = view(&monitor);
    assert_eq!(view.providers["p"].total_cost, 0.004);
    assert!(
        view.unpriced_models.is_empty(),
        "a price of nothing is a price"
    );
    assert_eq!(view.prices.unwrap().version, "free");
    let error = monitor.reload_prices().unwrap_err();
    assert!(matches!(error, PriceTableError::NoFile));
    fs::remove_file(&path).unwrap();
    let missing = PerformanceMonitor::builder().price_file(&path).build();
    let error = missing.unwrap_err();
    assert!(matches!(
        &error,
        BuildError::Prices(PriceTableError::Unreadable { .. })
    ));
    assert!(error.to_string().contains("aimux-prices-"), "{error}");
}

#[test]
fn a_table_may_come_while_spans_are_measured() {
    use tracing_subscriber::layer::SubscriberExt;
    let monitor = PerformanceMonitor::builder().build().unwrap();
    let subscriber = tracing_subscriber::registry().with(monitor.layer());
    tracing::subscriber::with_default(subscriber, || {
        let span = || {
            drop(tracing::info_span!(
                "call",
                provider = "p",
                model = "m",
                input_tokens = 1_000
            ));
        };
        span();
        monitor.collect();
        monitor.set_price_table(table(&json!({"m": priced(1e-06)})));
        span();
    });
    let view = view(&monitor);
    assert_eq!(view.providers["p"].total_cost, 0.001);
    assert_eq!(view.unpriced_models[0].requests, 1);
    monitor.shutdown(Duration::from_secs(5)).unwrap();
}

#[test]
fn streamed_answers_tell_how_fast_their_tokens_came() {
    let monitor = PerformanceMonitor::builder().build().unwrap();
    let answer = |model: &str, ms, first_ms: Option<&str>, tokens: &str, status: &str| {
        let event = PerformanceEvent::new("", PerformanceEventType::ProviderEnd, "", "")
            .with_duration(Duration::from_millis(ms))
            .with_metadata("provider", "p")
            .with_metadata("model", model)
            .with_metadata("status_code", status)
            .with_metadata("output_tokens", tokens);
        monitor.record_event(match first_ms {
            Some(ms) => event.with_metadata("ttft_ms", ms),
            None => event,
        });
    };
    answer("fast", 3_000, Some("1000"), "100", "200");
    answer("fast", 1_500, Some("500"), "200", "200");
    answer("slow", 5_000, Some("0"), "50", "200");
    // What did not come as a stream, or broke, or came at once, says nothing of the speed.
    answer("fast", 9_000, None, "7", "200");
    answer("fast", 9_000, Some("10"), "7", "502");
    answer("fast", 9_000, Some("9000"), "7", "200");
    answer("plain", 9_000, None, "7", "200");
    let view = view(&monitor);
    let p = &view.providers["p"];
    assert_eq!(p.output_tokens_per_second, Some(350.0 / 8.0));
    let models: Vec<_> = p
        .model_stats
        .iter()
        .map(|(model, of)| (model.as_str(), of.output_tokens_per_second))
        .collect();
    assert_eq!(
        models,
        [("fast", Some(100.0)), ("plain", None), ("slow", Some(10.0))]
    );
    let scraped = monitor.export(ExportFormat::Prometheus, None).unwrap();
    let scraped = scraped.into_string().unwrap();
    let fast =
        r#"gen_ai_provider_name="p",gen_ai_request_model="fast",otel_scope_name="aimux-otel"}"#;
    for line in [
        format!("aimux_streamed_time_seconds_total{{{fast} 3"),
        format!("aimux_streamed_tokens_total{{{fast} 300"),
    ] {
        assert!(scraped.lines().any(|l| l == line), "{line} in {scraped}");
    }
}
