//! What other libraries record under a recognised name, on the monitor's meter provider or on a
//! host's own, is in the views.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may"
)]

#[path = "http_layer/app.rs"]
mod app;

use aimux_otel::{EndpointsView, PerformanceMonitor, PerformanceStats, ViewReader, Window};
use app::{App, only, outcome};
use axum::{
    Router,
    extract::{Path, Request},
    http::StatusCode,
    middleware::{Next, from_fn},
    routing::get,
};
use opentelemetry::{KeyValue, global, metrics::MeterProvider};
use opentelemetry_instrumentation_tower::http::server;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

const FOREIGN: &str = "opentelemetry-instrumentation-tower";
const DURATION: &str = "http.server.request.duration";
const ROUTE: &str = "/slow/{millis}";

/// The library's layer, recording on this meter provider: it takes the global one.
fn foreign_layer(provider: &SdkMeterProvider) -> server::Layer {
    static GLOBAL: Mutex<()> = Mutex::new(());
    let _only_one = GLOBAL.lock().unwrap_or_else(PoisonError::into_inner);
    global::set_meter_provider(provider.clone());
    server::Layer::new()
}

/// The times that requests took, as seen from one side of a layer.
type Times = Arc<Mutex<Vec<f64>>>;

async fn timed(request: Request, next: Next, times: Times) -> axum::response::Response {
    let start = Instant::now();
    let response = next.run(request).await;
    let taken = start.elapsed();
    times.lock().unwrap().push(taken.as_secs_f64() * 1_000.0);
    response
}

/// Works for so long that percentiles are apart; an odd number of tenths is a failure.
async fn work(Path(tenths): Path<u64>) -> StatusCode {
    let start = Instant::now();
    while start.elapsed() < Duration::from_micros(tenths * 100) {
        std::hint::spin_loop();
    }
    if tenths % 2 == 0 {
        StatusCode::OK
    } else {
        StatusCode::BAD_GATEWAY
    }
}

async fn answer_forty(monitor: &PerformanceMonitor, routes: Router) -> EndpointsView {
    let app = App::serve(monitor, routes).await;
    let client = reqwest::Client::new();
    for tenths in 0..40 {
        let url = app.url(&format!("/slow/{tenths}"));
        client.get(url).send().await.unwrap();
    }
    app.finish().await
}

/// The nearest-rank percentile.
fn percentile(values: &mut [f64], q: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (q * values.len() as f64).ceil() as usize;
    values[rank.max(1) - 1]
}

fn percentiles(stats: &PerformanceStats) -> [(f64, f64); 3] {
    [
        (0.50, stats.p50_duration_ms.unwrap()),
        (0.95, stats.p95_duration_ms.unwrap()),
        (0.99, stats.p99_duration_ms.unwrap()),
    ]
}

#[tokio::test]
async fn what_another_librarys_layer_records_is_in_the_views() {
    let monitor = app::monitor();
    let (outside, inside) = (Times::default(), Times::default());
    let (outer, inner) = (Arc::clone(&outside), Arc::clone(&inside));
    let routes = Router::new()
        .route(ROUTE, get(work))
        .layer(from_fn(move |r, n| timed(r, n, Arc::clone(&inner))))
        .layer(foreign_layer(monitor.meter_provider()))
        .layer(from_fn(move |r, n| timed(r, n, Arc::clone(&outer))));
    let view = answer_forty(&monitor, routes).await;

    assert_eq!(view.coverage.source[DURATION], FOREIGN);
    assert_eq!(monitor.health().offered, 0, "it is not ours");
    let work = only(&view, ROUTE);
    assert_eq!(outcome(work), (40, 20, vec![]));
    assert_eq!(work.status_code_counts["200"], 20);
    assert_eq!(work.status_code_counts["502"], 20);
    let error = view.coverage.quantile_error_percent.unwrap();
    assert!(error <= 0.55, "{error}");
    // What it measured lies between what was seen on its either side.
    let (mut outside, mut inside) = (outside.lock().unwrap(), inside.lock().unwrap());
    for (q, found) in percentiles(&work.stats) {
        let least = percentile(&mut inside, q) * (1.0 - error / 100.0);
        let most = percentile(&mut outside, q) * (1.0 + error / 100.0);
        assert!(
            least <= found && found <= most,
            "{q}: {least} {found} {most}"
        );
    }
}

#[tokio::test]
async fn where_both_record_ours_is_used_and_nothing_counts_twice() {
    let monitor = app::monitor();
    let routes = Router::new()
        .route(ROUTE, get(work))
        .layer(foreign_layer(monitor.meter_provider()))
        .layer(monitor.http_layer());
    let view = answer_forty(&monitor, routes).await;
    for source in view.coverage.source.values() {
        assert_eq!(source, "aimux-otel");
    }
    let work = only(&view, ROUTE);
    assert_eq!(outcome(work), (40, 20, vec![("502", 20)]));
    assert_eq!(view.aggregated.total_operations, 40);
    assert_eq!(monitor.health().counted, 40);
}

#[test]
fn which_scope_is_used_can_be_chosen() {
    let monitor = PerformanceMonitor::builder()
        .collection_interval(Duration::from_secs(3_600))
        .preferred_scopes(["theirs"])
        .build()
        .unwrap();
    monitor.operation("/ours", "GET").finish();
    record(monitor.meter_provider(), &durations());
    monitor.collect();
    let view = monitor.endpoints(Window::SinceStart).unwrap();
    assert_eq!(view.coverage.source[DURATION], "theirs");
    assert_eq!(only(&view, "/theirs").stats.total_operations, 1_000);
}

/// A thousand durations in seconds, from 20 ms to 20 s.
fn durations() -> Vec<f64> {
    let of = |n: u32| 0.02 * 1_000_f64.powf(f64::from(n) / 999.0);
    (0..1_000).map(of).collect()
}

/// Records as an instrumentation does that knows nothing of us.
fn record(provider: &SdkMeterProvider, durations: &[f64]) {
    let meter = provider.meter("theirs");
    let histogram = meter.f64_histogram(DURATION);
    let histogram = histogram
        .with_unit("s")
        .with_boundaries((0..12).map(|n| 0.01 * f64::from(1_u32 << n)).collect());
    let histogram = histogram.build();
    let attributes = [
        KeyValue::new("http.route", "/theirs"),
        KeyValue::new("http.request.method", "GET"),
        KeyValue::new("http.response.status_code", 200),
    ];
    for duration in durations {
        histogram.record(*duration, &attributes);
    }
}

/// Of `durations`, within the error that the view states, which is returned.
fn assert_percentiles(view: &EndpointsView, durations: &[f64]) -> f64 {
    let error = view.coverage.quantile_error_percent.unwrap();
    let mut exact: Vec<f64> = durations.iter().map(|seconds| seconds * 1_000.0).collect();
    for (q, found) in percentiles(&only(view, "/theirs").stats) {
        let exact = percentile(&mut exact, q);
        let off = (found / exact - 1.0).abs() * 100.0;
        assert!(off <= error + 1e-9, "{q}: {found} for {exact}, {error} %");
    }
    error
}

#[test]
fn classic_histograms_of_a_hosts_own_meter_provider_state_a_larger_error() {
    let durations = durations();
    let mut errors = Vec::new();
    for with_streams in [true, false] {
        let reader = ViewReader::new();
        let provider = SdkMeterProvider::builder().with_reader(reader.clone());
        let provider = if with_streams {
            provider.with_view(aimux_otel::streams)
        } else {
            provider
        };
        let provider = provider.build();
        let monitor = PerformanceMonitor::builder()
            .collection_interval(Duration::from_secs(3_600))
            .meter_provider(provider.clone(), reader)
            .build()
            .unwrap();
        record(&provider, &durations);
        monitor.collect();
        let view = monitor.endpoints(Window::SinceStart).unwrap();
        assert_eq!(outcome(only(&view, "/theirs")), (1_000, 0, vec![]));
        errors.push(assert_percentiles(&view, &durations));
    }
    assert!(errors[0] < 0.55, "{errors:?}");
    // Bounds that double: a value anywhere in a bucket may be twice another.
    assert!((10.0..=100.0).contains(&errors[1]), "{errors:?}");
}

#[tokio::test]
async fn our_own_layer_on_a_hosts_own_meter_provider_is_in_the_views() {
    let reader = ViewReader::new();
    let provider = SdkMeterProvider::builder().with_reader(reader.clone());
    let provider = provider.build();
    let monitor = PerformanceMonitor::builder()
        .collection_interval(Duration::from_secs(3_600))
        .meter_provider(provider, reader)
        .build()
        .unwrap();
    let routes = Router::new().route(ROUTE, get(work));
    let view = answer_forty(&monitor, routes.layer(monitor.http_layer())).await;
    let work = only(&view, ROUTE);
    assert_eq!(outcome(work), (40, 20, vec![("502", 20)]));
    assert!(work.stats.p99_duration_ms.unwrap() <= work.stats.max_duration_ms.unwrap());
    let error = view.coverage.quantile_error_percent;
    assert!(error.is_none_or(|error| error > 1.0), "{error:?}");
}
