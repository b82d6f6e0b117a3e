//! All that the views are computed from, at one moment: immutable, cheap to share.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::core::aggregate::Aggregate;
use crate::core::alerts::view::Alerts;
use crate::core::events::NewestEvents;
use crate::core::histogram::ExponentialHistogram;
use crate::core::memory::MemoryMetrics;
use crate::core::prices::PriceTableInfo;
use crate::core::process::ProcessState;
use crate::core::quotas::QuotaReading;
use crate::core::series::{MetricInfo, SeriesKey};
use crate::core::slowest::Slowest;
use crate::core::standing::Board;
use crate::core::window::History;

/// What the views show also before it did anything, with zeros.
#[derive(Debug, Clone, Default)]
pub(crate) struct Configured {
    /// Providers, each with its models.
    pub(crate) providers: Vec<(Arc<str>, Vec<Arc<str>>)>,
    /// Endpoints, as route templates.
    pub(crate) endpoints: Vec<Arc<str>>,
    /// Of the scopes that recorded the same metric, the first of these is used; then the first
    /// by name.
    pub(crate) preferred_scopes: Vec<Arc<str>>,
}

impl Configured {
    /// Nothing but a preference for what this crate records.
    #[cfg(test)]
    pub(crate) fn new() -> Self {
        Self {
            preferred_scopes: vec![Arc::from(crate::names::SCOPE)],
            ..Self::default()
        }
    }
}

/// All that the views are computed from, at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    /// When the monitor was built.
    pub(crate) started: Timestamp,
    /// The end of the last collection.
    pub(crate) collected_at: Timestamp,
    /// Whether the monitor still collects.
    pub(crate) monitoring_active: bool,
    /// What was collected.
    pub(crate) history: History,
    /// What is shown in any case.
    pub(crate) configured: Arc<Configured>,
    /// The newest events, newest last.
    pub(crate) recent_events: NewestEvents,
    /// The slowest and the last failed requests.
    pub(crate) slowest: Arc<Slowest>,
    /// The memory of the process.
    pub(crate) memory: MemoryMetrics,
    /// The process.
    pub(crate) process: Arc<ProcessState>,
    /// What is the case of all that is watched for.
    pub(crate) alerts: Arc<Alerts>,
    /// What providers last said of their quotas, in no order.
    pub(crate) quotas: Arc<[QuotaReading]>,
    /// How providers stand.
    pub(crate) board: Arc<Board>,
    /// The price table in force.
    pub(crate) prices: Option<Arc<PriceTableInfo>>,
}

/// What an exponential series did since the start.
#[derive(Debug)]
pub(crate) struct ExponentialTotal<'a> {
    /// The series.
    pub(crate) key: &'a SeriesKey,
    /// Its distribution.
    pub(crate) histogram: ExponentialHistogram,
    /// What the metric says of itself, if it does.
    pub(crate) info: Option<&'a MetricInfo>,
}

impl Snapshot {
    /// That of a monitor that has just been built.
    pub(crate) fn empty(
        started: Timestamp,
        retention: Duration,
        configured: Arc<Configured>,
    ) -> Self {
        let history = History {
            retention,
            ..History::default()
        };
        Self {
            started,
            collected_at: started,
            monitoring_active: true,
            history,
            configured,
            recent_events: NewestEvents::default(),
            slowest: Arc::default(),
            memory: MemoryMetrics::default(),
            process: Arc::default(),
            alerts: Arc::default(),
            quotas: Arc::default(),
            board: Arc::default(),
            prices: None,
        }
    }

    /// All exponential series since the start, in the order in which they were first seen.
    pub(crate) fn exponential_totals(&self) -> impl Iterator<Item = ExponentialTotal<'_>> {
        let totals = &self.history.totals;
        totals.series.iter().filter_map(|total| {
            let Aggregate::Exponential(histogram) = total.packed().unpack() else {
                return None;
            };
            let key = total.key();
            let name = (Arc::clone(&key.scope), Arc::clone(&key.metric));
            let info = totals.metrics.get(&name);
            Some(ExponentialTotal {
                key,
                histogram,
                info,
            })
        })
    }
}
