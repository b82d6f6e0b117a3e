//! The types of performance events, and the filter that chooses which are kept.

use schemars::JsonSchema;
use serde::Serialize;

/// What a [`PerformanceEvent`](crate::PerformanceEvent) tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
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
    /// Each of them.
    pub const ALL: [Self; 10] = [
        Self::RequestStart,
        Self::RequestEnd,
        Self::ProviderStart,
        Self::ProviderEnd,
        Self::CacheHit,
        Self::CacheMiss,
        Self::Error,
        Self::Timeout,
        Self::RateLimitHit,
        Self::FailoverInitiated,
    ];

    /// As it is spelled in JSON, such as `REQUEST_END`.
    ///
    /// ```
    /// use aimux_otel::PerformanceEventType;
    ///
    /// assert_eq!(PerformanceEventType::FailoverInitiated.as_str(), "FAILOVER_INITIATED");
    /// assert_eq!(PerformanceEventType::from_text("CACHE_HIT"), Some(PerformanceEventType::CacheHit));
    /// assert_eq!(PerformanceEventType::from_text("cache hit"), None);
    /// ```
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RequestStart => "REQUEST_START",
            Self::RequestEnd => "REQUEST_END",
            Self::ProviderStart => "PROVIDER_START",
            Self::ProviderEnd => "PROVIDER_END",
            Self::CacheHit => "CACHE_HIT",
            Self::CacheMiss => "CACHE_MISS",
            Self::Error => "ERROR",
            Self::Timeout => "TIMEOUT",
            Self::RateLimitHit => "RATE_LIMIT_HIT",
            Self::FailoverInitiated => "FAILOVER_INITIATED",
        }
    }

    /// The one that is spelled so in JSON.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == text)
    }

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
        types: (1 << PerformanceEventType::ALL.len()) - 1,
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

    /// The types of which it keeps events, in the order of [`PerformanceEventType::ALL`].
    ///
    /// ```
    /// use aimux_otel::{EventFilter, PerformanceEventType};
    ///
    /// let filter = EventFilter::types([PerformanceEventType::Timeout]).failures_only();
    /// assert!(filter.kept_types().eq([PerformanceEventType::Timeout]));
    /// assert!(filter.keeps_failures_only());
    /// assert_eq!(EventFilter::ALL.kept_types().count(), 10);
    /// ```
    pub fn kept_types(self) -> impl Iterator<Item = PerformanceEventType> {
        let types = PerformanceEventType::ALL.into_iter();
        types.filter(move |event_type| self.types & event_type.bit() != 0)
    }

    /// Whether it keeps only events that tell of a failure.
    #[must_use]
    pub const fn keeps_failures_only(self) -> bool {
        self.failures_only
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_spelled_the_same_everywhere() {
        for event_type in PerformanceEventType::ALL {
            let json = serde_json::to_value(event_type).unwrap();
            assert_eq!(json, event_type.as_str());
            assert_eq!(
                PerformanceEventType::from_text(event_type.as_str()),
                Some(event_type)
            );
        }
    }

    #[test]
    fn a_filter_can_be_made_again_from_what_it_tells() {
        let all = EventFilter::types(EventFilter::ALL.kept_types());
        assert_eq!(all, EventFilter::ALL);
        let none = EventFilter::types([]);
        assert_eq!(none.kept_types().count(), 0);
        assert!(!none.keeps_failures_only());
    }
}
