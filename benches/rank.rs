//! What it costs to ask for an order at each request: `cargo bench --bench rank`.

#![allow(clippy::print_stdout, reason = "a bench")]

use aimux_otel::PerformanceMonitor;
use std::{
    collections::HashMap,
    hint::black_box,
    time::{Duration, Instant},
};

const ROUNDS: u32 = 200_000;

/// Nanoseconds of one call, the median of eleven runs.
fn nanos(mut call: impl FnMut()) -> f64 {
    let mut runs: Vec<f64> = (0..11)
        .map(|_| {
            #[allow(clippy::disallowed_methods, reason = "a bench measures time")]
            let began = Instant::now();
            (0..ROUNDS).for_each(|_| call());
            began.elapsed().as_secs_f64() * 1e9 / f64::from(ROUNDS)
        })
        .collect();
    runs.sort_by(f64::total_cmp);
    runs.get(5).copied().unwrap_or_default()
}

fn main() -> Result<(), aimux_otel::BuildError> {
    let monitor = PerformanceMonitor::builder().build()?;
    let providers = [
        "cerebras",
        "openai",
        "anthropic",
        "groq",
        "mistral_ai",
        "x_ai",
        "deepseek",
        "cohere",
    ];
    for provider in providers {
        for model in ["llama3.1-70b", "gpt-4o-mini-2024-07-18"] {
            for _ in 0..20 {
                let took = Duration::from_millis(800 + provider.len() as u64 * 40);
                monitor.record_provider_request(provider, model, took, true, "", 0.0);
            }
        }
    }
    monitor.collect();
    let all = providers.map(|provider| (provider, "gpt-4o-mini-2024-07-18"));
    let floor: HashMap<(&str, &str), u32> = all.iter().map(|name| (*name, 1)).collect();
    println!("candidates   rank   two look-ups in a hash map each   ratio");
    for count in [2, 4, 8] {
        let candidates = all.get(..count).unwrap_or_default();
        let rank = nanos(|| {
            black_box(monitor.rank(black_box(candidates)));
        });
        let floor = nanos(|| {
            for candidate in black_box(candidates) {
                black_box(floor.get(candidate));
                black_box(floor.get(candidate));
            }
        });
        println!(
            "{count:>10} {rank:>3.0} ns {floor:>29.0} ns {:>7.2}",
            rank / floor
        );
    }
    Ok(())
}
