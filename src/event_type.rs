//! The types of performance events, and the filter that chooses which are kept.

use serde::Serialize;

/// What a [`PerformanceEvent`](crate::PerformanceEvent) tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PerformanceEventType {
    /// An operation began.
    RequestStart,
    /// An operation ended.
    RequestEnd,
    /// A call to a provider began.
    ProviderStart,
    /// A call to a provider ended.
    ProviderEnd,
    /// The response cache had the answer.
    CacheHit,
    /// The response cache did not have the answer.
    CacheMiss,
    /// Something failed.
    Error,
    /// Something took longer than it was allowed to.
    Timeout,
    /// A rate limit was reached.
    RateLimitHit,
    /// Another provider is asked instead.
    FailoverInitiated,
}

impl PerformanceEventType {
    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// Which events are kept among the recent ones. All, unless told otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventFilter {
    types: u16,
    failures_only: bool,
}

impl EventFilter {
    /// Keeps every event.
    pub const ALL: Self = Self {
        types: u16::MAX,
        failures_only: false,
    };

    /// Keeps only events of these types.
    #[must_use]
    pub fn types(types: impl IntoIterator<Item = PerformanceEventType>) -> Self {
        Self {
            types: types.into_iter().fold(0, |bits, t| bits | t.bit()),
            failures_only: false,
        }
    }

    /// Keeps, of those that it would keep, only the events that tell of a failure.
    #[must_use]
    pub const fn failures_only(mut self) -> Self {
        self.failures_only = true;
        self
    }

    pub(crate) const fn keeps(self, event_type: PerformanceEventType, failed: bool) -> bool {
        self.types & event_type.bit() != 0 && (failed || !self.failures_only)
    }
}

impl Default for EventFilter {
    fn default() -> Self {
        Self::ALL
    }
}
