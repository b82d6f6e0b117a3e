//! The summary at the end: as text, and with `--json` as a file.
//!
//! The file sets side by side what each party counted by itself (the driving client, the
//! providers, the monitor) and the exact percentiles of the very durations that the monitor was
//! given, for the whole run and for a window inside it.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aimux_otel::{EndpointsView, PerformanceMonitor, ProvidersView, ViewError, Window};
use serde_json::{Value, json};

use super::recorded::{Recorded, Within};
use super::{screen, table};
use crate::error::GatewayError;
use crate::play::Played;

/// The file of `--json`, opened before the run so that a wrong path shows at once.
pub(crate) struct SummaryFile {
    path: PathBuf,
    file: File,
}

impl SummaryFile {
    pub(crate) fn create(path: &Path) -> Result<Self, GatewayError> {
        let path = path.to_owned();
        match File::create(&path) {
            Ok(file) => Ok(Self { path, file }),
            Err(source) => Err(GatewayError::Json { path, source }),
        }
    }

    fn write(mut self, summary: &Value) -> Result<PathBuf, GatewayError> {
        match self.file.write_all(format!("{summary:#}\n").as_bytes()) {
            Ok(()) => Ok(self.path),
            Err(source) => Err(GatewayError::Json {
                path: self.path,
                source,
            }),
        }
    }
}

/// The views over a window that lies inside the run, asked while it went on.
pub(crate) struct Inside {
    providers: ProvidersView,
    endpoints: EndpointsView,
}

impl Inside {
    pub(crate) fn ask(monitor: &PerformanceMonitor, last: Duration) -> Result<Self, ViewError> {
        Ok(Self {
            providers: monitor.providers(Window::Last(last))?,
            endpoints: monitor.endpoints(Window::Last(last))?,
        })
    }

    fn json(&self, recorded: &Recorded) -> Value {
        let providers = Within::of(&self.providers.coverage);
        let endpoints = Within::of(&self.endpoints.coverage);
        json!({
            "providers": {
                "window_start": providers.start,
                "window_end": providers.end,
                "exact": recorded.providers(Some(providers)),
                "monitor": self.providers,
            },
            "endpoints": {
                "window_start": endpoints.start,
                "window_end": endpoints.end,
                "exact": recorded.endpoints(Some(endpoints)),
                "monitor": self.endpoints,
            },
        })
    }
}

/// Prints the summary, and writes it to the file if there is one.
pub(crate) fn tell(
    run: &Played,
    recorded: &Recorded,
    monitor: &PerformanceMonitor,
    file: Option<SummaryFile>,
) -> Result<(), GatewayError> {
    screen::print(&text(run, monitor)?);
    if let Some(file) = file {
        let path = file.write(&json(run, recorded, monitor)?)?;
        screen::print(&format!("summary  {}\n", path.display()));
    }
    Ok(())
}

/// Everything, for `--json`.
fn json(
    run: &Played,
    recorded: &Recorded,
    monitor: &PerformanceMonitor,
) -> Result<Value, ViewError> {
    let attempts = run.upstreams.attempts();
    let total: u64 = attempts.values().flat_map(|models| models.values()).sum();
    Ok(json!({
        "addresses": {
            "gateway": run.addresses.gateway.to_string(),
            "monitor": run.addresses.monitor.to_string(),
        },
        "run": {
            "traffic": run.plan,
            "seed": run.seed,
            "speed": run.speed,
            "seconds": run.lasted.as_secs_f64(),
            "ended_by": run.ended_by,
        },
        "client": run.traffic.tally().json(),
        "upstreams": { "attempts": total, "by_provider": attempts },
        "exact": {
            "providers": recorded.providers(None),
            "endpoints": recorded.endpoints(None),
        },
        "window": run.inside.json(recorded),
        "monitor": {
            "report": monitor.report(Window::SinceStart)?,
            "providers": monitor.providers(Window::SinceStart)?,
            "endpoints": monitor.endpoints(Window::SinceStart)?,
            "components": monitor.components(Window::SinceStart)?,
            "health": monitor.health(),
        },
    }))
}

/// A few lines for people.
fn text(run: &Played, monitor: &PerformanceMonitor) -> Result<String, ViewError> {
    let providers = monitor.providers(Window::SinceStart)?;
    let endpoints = monitor.endpoints(Window::SinceStart)?;
    let attempts = run.upstreams.attempts();
    let attempts: u64 = attempts.values().flat_map(|models| models.values()).sum();
    let tally = run.traffic.tally();
    Ok(format!(
        "\nEnded by {} after {:.1} s.\n\n{}\n\
         sent by the client     {:>8}   operations measured  {:>8}\n\
         counted by providers   {:>8}   attempts measured    {:>8}\n\
         cost                   ${:.4}\n",
        run.ended_by,
        run.lasted.as_secs_f64(),
        table::text("whole run", &providers, &endpoints),
        tally.all.sent,
        endpoints.aggregated.total_operations,
        attempts,
        providers.summary.total_requests,
        providers.summary.total_estimated_cost,
    ))
}
