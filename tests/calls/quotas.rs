//! What is left of quotas, as the heads of answers tell it.

use crate::app::monitor;
use aimux_otel::{PerformanceMonitor, Window};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

fn answered(monitor: &PerformanceMonitor, model: &str, headers: &[(&'static str, &'static str)]) {
    let mut call = monitor.provider_call("openai", model);
    let headers = headers.iter().map(|(name, value)| {
        let name = HeaderName::from_static(name);
        (name, HeaderValue::from_static(value))
    });
    call.head(StatusCode::OK, &headers.collect::<HeaderMap>());
    call.finish();
}

/// The values of a gauge by model and resource.
fn gauge(monitor: &PerformanceMonitor, name: &str) -> Vec<(String, String, f64)> {
    monitor.collect();
    let families = monitor.prometheus_registry().gather();
    let of = families.iter().filter(|family| family.name() == name);
    let metrics = of.flat_map(|family| family.get_metric());
    let mut values: Vec<_> = metrics
        .map(|metric| {
            let label = |name: &str| {
                let labels = metric.get_label();
                let label = labels.iter().find(|label| label.name() == name);
                label.unwrap().value().to_owned()
            };
            assert_eq!(label("gen_ai_provider_name"), "openai");
            (
                label("gen_ai_request_model"),
                label("aimux_rate_limit_resource"),
                metric.get_gauge().get_value(),
            )
        })
        .collect();
    values.sort_by(|one, other| one.partial_cmp(other).unwrap());
    values
}

#[test]
fn the_last_word_is_in_the_view_and_in_the_gauges() {
    let monitor = monitor();
    answered(&monitor, "mini", &[]);
    assert!(gauge(&monitor, "aimux_rate_limit_remaining").is_empty());
    let view = monitor.providers(Window::SinceStart).unwrap();
    assert!(view.providers["openai"].rate_limits.is_empty());

    let limits = [
        ("x-ratelimit-limit-requests", "500"),
        ("x-ratelimit-remaining-requests", "498"),
        ("x-ratelimit-limit-tokens", "30000"),
        ("x-ratelimit-remaining-tokens", "29000"),
    ];
    answered(&monitor, "mini", &limits);
    answered(
        &monitor,
        "mini",
        &[("x-ratelimit-remaining-requests", "497")],
    );
    answered(
        &monitor,
        "large",
        &[
            ("x-ratelimit-limit-requests", "100"),
            ("x-ratelimit-remaining-requests", "7"),
        ],
    );
    let owned = |model: &str, resource: &str, value| (model.to_owned(), resource.to_owned(), value);
    assert_eq!(
        gauge(&monitor, "aimux_rate_limit_remaining"),
        [
            owned("large", "requests", 7.0),
            owned("mini", "requests", 497.0),
            owned("mini", "tokens", 29_000.0),
        ]
    );
    assert_eq!(
        gauge(&monitor, "aimux_rate_limit_limit"),
        [
            owned("large", "requests", 100.0),
            owned("mini", "tokens", 30_000.0),
        ]
    );
    let view = monitor.providers(Window::SinceStart).unwrap();
    let limits = &view.providers["openai"].rate_limits;
    let requests = &limits["requests"];
    assert_eq!((requests.limit, requests.remaining), (Some(100), Some(7)));
    assert!(requests.observed_at > 0.0);
    assert_eq!(limits["tokens"].remaining, Some(29_000));
}
