//! A real hour of traffic, replayed: every surface counts what was sent, and every percentile is
//! within the bound that the answer states.

use super::{
    from_environment,
    gateway::{Gateway, get, get_json},
    support::otlp::Receiver,
};
use serde_json::Value;

/// The bound of an exponential histogram at scale 6, in percent, with room for the rounding of
/// nanoseconds to floating-point seconds.
const BOUND_PERCENT: f64 = 0.5416;

const QUANTILES: [(&str, &str); 4] = [
    ("p50_ms", "p50"),
    ("p95_ms", "p95"),
    ("p99_ms", "p99"),
    ("p99_9_ms", "p99_9"),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_surface_tells_of_the_same_hour() {
    let Some(trace) = from_environment("AIMUX_TRACE", "the replay of a trace") else {
        return;
    };
    let (receiver, otlp) = Receiver::grpc().await;
    let arguments = ["--replay", trace.to_str().unwrap(), "--speed", "60"];
    let endpoint = format!("http://{otlp}");
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_TRACES_EXPORTER", "none"),
    ];
    let gateway = Gateway::start("replay", &arguments, &variables);
    let summary = tokio::task::block_in_place(|| gateway.summary());
    let client = &summary["client"]["all"];
    let rows = std::fs::read_to_string(&trace).unwrap().lines().count() as u64 - 1;
    assert_eq!(client["sent"], rows);
    assert_eq!(client["unfinished"], 0);

    let providers = get_json(&format!("{}/performance/providers", gateway.monitor)).await;
    let endpoints = get_json(&format!("{}/performance/endpoints", gateway.monitor)).await;
    let exposition = get(&format!("{}/metrics", gateway.monitor)).await;
    gateway.end();

    // What was sent are operations, whoever tells.
    let duration = "http.server.request.duration";
    assert_eq!(endpoints["aggregated"]["total_operations"], rows);
    assert_eq!(
        scraped(&exposition, "http_server_request_duration_seconds_count"),
        rows
    );
    assert_eq!(receiver.count(duration, &[]), rows);
    for (endpoint, counted) in summary["client"]["by_endpoint"].as_object().unwrap() {
        let view = &endpoints["endpoints"][endpoint];
        assert_eq!(
            view["stats"]["total_operations"], counted["sent"],
            "{endpoint}"
        );
        let route = format!("http.route={endpoint}");
        assert_eq!(
            receiver.count(duration, &[&route]),
            counted["sent"].as_u64().unwrap()
        );
    }

    // What the upstreams counted are attempts, whoever tells.
    let attempts = summary["upstreams"]["attempts"].as_u64().unwrap();
    let duration = "gen_ai.client.operation.duration";
    assert_eq!(providers["summary"]["total_requests"], attempts);
    assert_eq!(
        scraped(
            &exposition,
            "gen_ai_client_operation_duration_seconds_count"
        ),
        attempts
    );
    assert_eq!(receiver.count(duration, &[]), attempts);
    for (provider, models) in summary["upstreams"]["by_provider"].as_object().unwrap() {
        for (model, counted) in models.as_object().unwrap() {
            let view = &providers["providers"][provider]["model_stats"][model];
            assert_eq!(view["total_operations"], *counted, "{provider} {model}");
            let (provider, model) = (
                format!("gen_ai.provider.name={provider}"),
                format!("gen_ai.request.model={model}"),
            );
            let pushed = receiver.count(duration, &[&provider, &model]);
            assert_eq!(pushed, counted.as_u64().unwrap(), "{provider} {model}");
        }
    }

    // Percentiles of the whole run, and of a window inside it.
    let exact = &summary["exact"];
    let checked = providers_agree(&exact["providers"], &providers)
        + endpoints_agree(&exact["endpoints"], &endpoints);
    let inside = &summary["window"];
    assert!(
        inside["providers"]["monitor"]["window_seconds"]
            .as_f64()
            .unwrap()
            > 10.0
    );
    let checked_inside = providers_agree(
        &inside["providers"]["exact"],
        &inside["providers"]["monitor"],
    ) + endpoints_agree(
        &inside["endpoints"]["exact"],
        &inside["endpoints"]["monitor"],
    );
    assert!(
        checked >= 40 && checked_inside >= 40,
        "{checked} {checked_inside}"
    );
}

/// Compares each provider and model; how many percentiles were compared.
fn providers_agree(exact: &Value, view: &Value) -> usize {
    assert!(view["quantile_error_percent"].as_f64().unwrap() <= BOUND_PERCENT);
    let mut checked = 0;
    for (name, exact) in exact.as_object().unwrap() {
        let provider = &view["providers"][name];
        assert_eq!(exact["all"]["count"], provider["total_requests"], "{name}");
        checked += agree(name, &exact["all"], provider, "response_time_ms");
        for (model, exact) in exact["models"].as_object().unwrap() {
            let stats = &provider["model_stats"][model];
            assert_eq!(exact["count"], stats["total_operations"], "{name} {model}");
            checked += agree(model, exact, stats, "duration_ms");
        }
    }
    checked
}

fn endpoints_agree(exact: &Value, view: &Value) -> usize {
    let mut checked = 0;
    for (path, exact) in exact.as_object().unwrap() {
        let stats = &view["endpoints"][path]["stats"];
        assert_eq!(exact["count"], stats["total_operations"], "{path}");
        checked += agree(path, exact, stats, "duration_ms");
    }
    checked
}

fn agree(what: &str, exact: &Value, view: &Value, field: &str) -> usize {
    if exact["count"] == 0 {
        return 0;
    }
    for (quantile, name) in QUANTILES {
        let exact = exact[quantile].as_f64().unwrap();
        let told = view[format!("{name}_{field}")].as_f64().unwrap();
        let off = 100.0 * (told - exact).abs() / exact;
        assert!(
            off <= BOUND_PERCENT,
            "{name} of {what}: {told} is {off} % off {exact}"
        );
    }
    QUANTILES.len()
}

/// The sum of all samples called `name`.
fn scraped(exposition: &str, name: &str) -> u64 {
    let samples = exposition.lines().filter(|line| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
    });
    let values = samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    values.sum::<f64>() as u64
}
