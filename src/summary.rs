//! How the gateway is, and what watching it costs: the answer of `/performance/summary`.

use crate::{
    core::{
        views::{self, KeyIndicators, ViewError},
        window::Window,
    },
    health::MonitorHealth,
    tick::Shared,
};
use schemars::JsonSchema;
use serde::Serialize;

/// For a status page: the guide's key indicators, and the monitor's own cost.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct PerformanceSummary {
    /// How the gateway is.
    #[serde(flatten)]
    pub indicators: KeyIndicators,
    /// What became of what the monitor was given, and what the monitor itself takes. All since it
    /// was built, whatever the window.
    pub monitor: MonitorHealth,
}

/// How the gateway was in `window`, not older than a second.
pub(crate) fn summary(shared: &Shared, window: Window) -> Result<PerformanceSummary, ViewError> {
    let snapshot = shared.fresh();
    Ok(PerformanceSummary {
        indicators: views::indicators(&snapshot, window)?,
        monitor: shared.health(),
    })
}
