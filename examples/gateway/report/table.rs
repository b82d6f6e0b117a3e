//! The table of providers and endpoints as text.

use std::fmt::Write;

use aimux_otel::{EndpointsView, ProvidersView};

const HEAD: &str = "                              requests    rate/s  success       p50       p95       p99        cost  state\n";

/// A row per provider and model, then one per endpoint.
pub(crate) fn text(providers: &ProvidersView, endpoints: &EndpointsView) -> String {
    let mut out = HEAD.to_owned();
    for (name, provider) in &providers.providers {
        let line = Line {
            name,
            requests: provider.total_requests,
            rate: rate(provider.total_requests, providers.window_seconds),
            success: provider.success_rate_percent,
            p50: provider.p50_response_time_ms,
            p95: provider.p95_response_time_ms,
            p99: provider.p99_response_time_ms,
            cost: Some(provider.total_cost),
            state: if provider.total_requests == 0 {
                "idle"
            } else if provider.healthy {
                "healthy"
            } else {
                "failing"
            },
        };
        line.write(&mut out);
        for (model, of_model) in &provider.model_stats {
            let stats = &of_model.stats;
            let line = Line {
                name: &format!("  {model}"),
                requests: stats.total_operations,
                rate: rate(stats.total_operations, providers.window_seconds),
                success: stats.success_rate_percent,
                p50: stats.p50_duration_ms,
                p95: stats.p95_duration_ms,
                p99: stats.p99_duration_ms,
                cost: Some(of_model.total_cost),
                state: "",
            };
            line.write(&mut out);
        }
    }
    out.push('\n');
    for (path, endpoint) in &endpoints.endpoints {
        let stats = &endpoint.stats;
        let line = Line {
            name: path,
            requests: stats.total_operations,
            rate: rate(stats.total_operations, endpoints.window_seconds),
            success: stats.success_rate_percent,
            p50: stats.p50_duration_ms,
            p95: stats.p95_duration_ms,
            p99: stats.p99_duration_ms,
            cost: None,
            state: "",
        };
        line.write(&mut out);
    }
    out
}

struct Line<'a> {
    name: &'a str,
    requests: u64,
    rate: f64,
    success: Option<f64>,
    p50: Option<f64>,
    p95: Option<f64>,
    p99: Option<f64>,
    cost: Option<f64>,
    state: &'a str,
}

impl Line<'_> {
    fn write(&self, out: &mut String) {
        let success = self
            .success
            .map_or("-".to_owned(), |percent| format!("{percent:.1} %"));
        let cost = self.cost.map_or(String::new(), |usd| format!("${usd:.4}"));
        // Writing to a string doesn't fail.
        let _ = writeln!(
            out,
            "{:<28}{:>10}{:>10.1}{:>9}{:>10}{:>10}{:>10}{:>12}  {}",
            self.name,
            self.requests,
            self.rate,
            success,
            milliseconds(self.p50),
            milliseconds(self.p95),
            milliseconds(self.p99),
            cost,
            self.state,
        );
    }
}

fn rate(requests: u64, seconds: f64) -> f64 {
    if seconds > 0.0 {
        requests as f64 / seconds
    } else {
        0.0
    }
}

pub(crate) fn milliseconds(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(ms) if ms >= 10_000.0 => format!("{:.1} s", ms / 1e3),
        Some(ms) if ms >= 100.0 => format!("{ms:.0} ms"),
        Some(ms) => format!("{ms:.1} ms"),
    }
}
