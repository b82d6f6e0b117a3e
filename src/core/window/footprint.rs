//! How much memory a full day takes, and how long the views do. Measured in release builds:
//! `cargo test --release -- --ignored --nocapture a_full_day`.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::core::histogram::ExponentialHistogram;
use crate::core::series::{SeriesKey, Value};
use crate::core::snapshot::Snapshot;
use crate::core::testing::{Bench, SCALE, key};
use crate::core::views;
use crate::core::window::{Window, WindowConfig};
use crate::names::*;

const DAY: Duration = Duration::from_secs(24 * 3600);
const PAIRS: usize = 100;
const ENDPOINTS: usize = 50;

/// A latency of an LLM mix: a cache's, a short and a long answer's.
fn latency(random: &mut StdRng, typical: f64) -> f64 {
    let mode = random.random::<f64>();
    let normal: f64 = (0..6).map(|_| random.random::<f64>() - 0.5).sum::<f64>() * 1.41;
    match mode {
        m if m < 0.15 => typical * 0.02 * (normal * 0.4).exp(),
        m if m < 0.70 => typical * (normal * 0.5).exp(),
        _ => typical * 4.0 * (normal * 0.35).exp(),
    }
}

/// The series of one instrument, with their typical values.
struct Names {
    attempts: Vec<(SeriesKey, SeriesKey, SeriesKey, [SeriesKey; 2], SeriesKey)>,
    operations: Vec<(SeriesKey, SeriesKey, [SeriesKey; 2])>,
}

impl Names {
    fn new() -> Self {
        let attempt = |pair: usize| {
            let (provider, model) = (format!("provider-{}", pair / 10), format!("model-{pair}"));
            let p = (GEN_AI_PROVIDER_NAME, &*provider);
            let m = (GEN_AI_REQUEST_MODEL, &*model);
            let tokens = |side| key(GEN_AI_TOKEN_USAGE, [p, m, (GEN_AI_TOKEN_TYPE, side)]);
            (
                key(GEN_AI_OPERATION_DURATION, [p, m]),
                key(GEN_AI_OPERATION_DURATION, [p, m, (ERROR_TYPE, "timeout")]),
                key(GEN_AI_TIME_TO_FIRST_CHUNK, [p, m]),
                [tokens("input"), tokens("output")],
                key(COST, [p, m]),
            )
        };
        let operation = |endpoint: usize| {
            let route = format!("/v1/endpoint/{endpoint}");
            let [r, m] = [(HTTP_ROUTE, &*route), (HTTP_REQUEST_METHOD, "POST")];
            let status = |code| {
                let labels = [r, m, (HTTP_RESPONSE_STATUS_CODE, code)];
                key(HTTP_SERVER_REQUEST_DURATION, labels)
            };
            let sizes = [
                key(HTTP_SERVER_REQUEST_BODY_SIZE, [r, m]),
                key(HTTP_SERVER_RESPONSE_BODY_SIZE, [r, m]),
            ];
            (status("200"), status("504"), sizes)
        };
        Self {
            attempts: (0..PAIRS).map(attempt).collect(),
            operations: (0..ENDPOINTS).map(operation).collect(),
        }
    }
}

/// What happens in five seconds, at 1,000 attempts and 1,000 operations a second.
fn five_seconds(bench: &mut Bench, random: &mut StdRng, names: &Names) {
    let mut filled = |n: usize, typical: f64, whole: bool| {
        let mut histogram = ExponentialHistogram::new(SCALE);
        for _ in 0..n {
            let value = latency(random, typical);
            histogram.record(if whole { value.floor() } else { value });
        }
        Value::Exponential(histogram)
    };
    for (pair, (ok, timeout, first, tokens, cost)) in names.attempts.iter().enumerate() {
        let typical = 0.5 + pair as f64 / 50.0;
        bench.set(ok.clone(), filled(49, typical, false));
        bench.set(first.clone(), filled(49, typical * 0.3, false));
        for (tokens, typical) in tokens.iter().zip([1500.0, 300.0]) {
            bench.set(tokens.clone(), filled(49, typical, true));
        }
        let mut timeouts = ExponentialHistogram::new(SCALE);
        timeouts.record(30.0 + pair as f64 * 1e-5);
        bench.set(timeout.clone(), Value::Exponential(timeouts));
        bench.add(cost.clone(), 0.0042 * 49.0);
    }
    for (endpoint, (ok, timeout, sizes)) in names.operations.iter().enumerate() {
        bench.set(ok.clone(), filled(98, 0.5 + endpoint as f64 / 25.0, false));
        for size in sizes {
            bench.set(size.clone(), filled(100, 5_000.0, true));
        }
        let mut timeouts = ExponentialHistogram::new(SCALE);
        timeouts.record(30.001);
        timeouts.record(30.002);
        bench.set(timeout.clone(), Value::Exponential(timeouts));
    }
}

#[test]
#[ignore = "takes minutes; a measurement"]
fn a_full_day_takes_little_memory_and_its_views_little_time() {
    let names = Names::new();
    let mut random = StdRng::seed_from_u64(7);
    let max_bytes = std::env::var("MAX_BYTES")
        .ok()
        .and_then(|text| text.parse().ok());
    let mut bench = Bench::with(WindowConfig {
        max_bytes: max_bytes.unwrap_or(WindowConfig::default().max_bytes),
        ..WindowConfig::default()
    });
    let seconds: u64 = std::env::var("SECONDS_OF_DAY")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(DAY.as_secs());
    let resident_before = resident_kib();
    for _ in 0..seconds / 5 {
        five_seconds(&mut bench, &mut random, &names);
        bench.collect_after(Duration::from_secs(5));
    }
    let history = bench.windows.history();
    let of_slots = bench.windows.ladder.heap_bytes();
    let of_totals = bench.windows.totals.heap_bytes();
    println!(
        "{} slots of {} KiB, totals of {} series {} KiB; resident {} KiB more",
        history.slots.len(),
        of_slots / 1024,
        history.totals.series.len(),
        of_totals / 1024,
        resident_kib() - resident_before,
    );
    for slot in history.slots.iter() {
        let width = slot.until().since(slot.since()).as_secs();
        print!("{width}s:{}K ", slot.heap_bytes() / 1024);
    }
    println!();
    let snapshot = bench.snapshot();
    for window in [
        Window::SinceStart,
        Window::Last(Duration::from_secs(300)),
        Window::Last(DAY),
    ] {
        time(&snapshot, window);
    }
    time_append(&mut bench, &mut random, &names);
    assert!(of_slots + of_totals < 4 * 1024 * 1024);
}

#[allow(clippy::disallowed_methods, reason = "a measurement")]
fn time(snapshot: &Snapshot, window: Window) {
    for round in 0..3 {
        let start = std::time::Instant::now();
        let providers = views::providers(snapshot, window, None).unwrap();
        let after_providers = start.elapsed();
        let endpoints = views::endpoints(snapshot, window, None).unwrap();
        let after_endpoints = start.elapsed();
        views::report(snapshot, window).unwrap();
        if round == 2 {
            println!(
                "{window:?}: providers {after_providers:?}, endpoints {:?}, report {:?}; {} and {} operations, {:?} %",
                after_endpoints - after_providers,
                start.elapsed() - after_endpoints,
                providers.summary.total_requests,
                endpoints.aggregated.total_operations,
                providers.coverage.quantile_error_percent,
            );
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "a measurement")]
fn time_append(bench: &mut Bench, random: &mut StdRng, names: &Names) {
    let (mut sum, mut worst) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..60 {
        five_seconds(bench, random, names);
        let start = std::time::Instant::now();
        bench.collect_after(Duration::from_secs(5));
        sum += start.elapsed();
        worst = worst.max(start.elapsed());
    }
    println!("append: {:?} on average, {worst:?} at worst", sum / 60);
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}
