//! What the monitor says of itself.

use crate::core::{cost::MonitorCost, deliveries::PushHealth};
use std::collections::BTreeMap;

/// What became of everything that was offered to a monitor.
#[derive(Debug, Clone, PartialEq, serde::Serialize, schemars::JsonSchema)]
#[non_exhaustive]
pub struct MonitorHealth {
    /// Operations, attempts, component work, signals and what timers observed, as it was handed to
    /// the monitor.
    pub offered: u64,
    /// Those that are counted in the instruments. What still waits in the queue is not yet.
    pub counted: u64,
    /// Those that never will be, by reason. Once nothing waits, `offered` is `counted` plus these.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Label values that were counted under `_OTHER`, by kind of label.
    pub labels_refused: BTreeMap<&'static str, u64>,
    /// Series that there are, also idle ones.
    pub series: usize,
    /// Points of series that share one series for want of room.
    pub series_folded: u64,
    /// Memory that the windows and the totals take, in bytes, as of the last collection.
    pub window_bytes: u64,
    /// Memory that answers over HTTP take which are kept for others who ask the same, in bytes: 1
    /// MiB at the most.
    pub answer_bytes: u64,
    /// What the monitor itself takes, as of the last collection.
    pub cost: MonitorCost,
    /// What became of what was pushed, by destination: `webhook`, `alertmanager`, `pushgateway`,
    /// `elasticsearch`; `webhook-2` for the second.
    pub pushes: BTreeMap<String, PushHealth>,
}
