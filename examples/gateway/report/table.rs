//! The table of providers and endpoints as text.

use std::fmt::Write;

use aimux_otel::{EndpointsView, ProvidersView};

/// A row per provider and model, then one per endpoint; not wider than 80 columns.
pub(crate) fn text(title: &str, providers: &ProvidersView, endpoints: &EndpointsView) -> String {
    let mut out = format!(
        "{title:<22}{:>8}{:>6}{:>8}{:>7}{:>7}{:>7}{:>8}  {}\n",
        "requests", "/s", "success", "p50", "p95", "p99", "cost", "state",
    );
    for (name, provider) in &providers.providers {
        let line = Line {
            name,
            requests: provider.total_requests,
            rate: rate(provider.total_requests, providers.coverage.window_seconds),
            success: provider.success_rate_percent,
            p50: provider.p50_response_time_ms,
            p95: provider.p95_response_time_ms,
            p99: provider.p99_response_time_ms,
            cost: Some(provider.total_cost),
            state: match provider.healthy {
                None => "-",
                Some(true) => "ok",
                Some(false) => "ailing",
            },
        };
        line.write(&mut out);
        for (model, of_model) in &provider.model_stats {
            let stats = &of_model.stats;
            let line = Line {
                name: &format!("  {model}"),
                requests: stats.total_operations,
                rate: rate(stats.total_operations, providers.coverage.window_seconds),
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
        let stats = &endpoint.all.stats;
        let line = Line {
            name: path,
            requests: stats.total_operations,
            rate: rate(stats.total_operations, endpoints.coverage.window_seconds),
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
        let success = percent(self.success);
        let cost = self.cost.map_or(String::new(), dollars);
        // Writing to a string doesn't fail.
        let _ = writeln!(
            out,
            "{:<22}{:>8}{:>6.1}{:>8}{:>7}{:>7}{:>7}{:>8}  {}",
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

pub(crate) fn rate(requests: u64, seconds: f64) -> f64 {
    if seconds > 0.0 {
        requests as f64 / seconds
    } else {
        0.0
    }
}

pub(crate) fn percent(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), |percent| format!("{percent:.1} %"))
}

pub(crate) fn milliseconds(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(ms) if ms >= 9_999.5 => format!("{:.1}s", ms / 1e3),
        Some(ms) if ms >= 99.95 => format!("{ms:.0}ms"),
        Some(ms) => format!("{ms:.1}ms"),
    }
}

fn dollars(usd: f64) -> String {
    if usd >= 100.0 {
        format!("${usd:.0}")
    } else {
        format!("${usd:.3}")
    }
}
