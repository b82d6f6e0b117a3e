//! What a provider last said is left of its quotas.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::core::quotas::QuotaReading;
use crate::core::snapshot::Snapshot;

/// What a provider last said of one of its quotas, in the head of an answer.
///
/// Quotas are told of for each model. Of those whose time has not come to be reset, this is the one
/// of which the least share is left; if all have been, the one told of last.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct RateLimit {
    /// How many there are until the reset; `null` if it was not said.
    pub limit: Option<u64>,
    /// How many of these were left; `null` if it was not said.
    pub remaining: Option<u64>,
    /// When all of it is there again, in Unix seconds; `null` if it was not said.
    pub resets_at: Option<f64>,
    /// When it was told of, in Unix seconds.
    pub observed_at: f64,
}

/// The quotas of `provider` by what they are of.
pub(super) fn of_provider(snapshot: &Snapshot, provider: &str) -> BTreeMap<String, RateLimit> {
    let now = snapshot.collected_at;
    let mut tightest: BTreeMap<&str, &QuotaReading> = BTreeMap::new();
    for reading in snapshot.quotas.iter() {
        if &*reading.provider != provider {
            continue;
        }
        let shown = tightest.entry(reading.resource).or_insert(reading);
        if comes_before(reading, shown, now) {
            *shown = reading;
        }
    }
    let shown = tightest.into_iter().map(|(resource, reading)| {
        let limit = RateLimit {
            limit: reading.quota.limit,
            remaining: reading.quota.remaining,
            resets_at: reading.quota.resets_at.map(Timestamp::as_unix_seconds),
            observed_at: reading.observed_at.as_unix_seconds(),
        };
        (resource.to_owned(), limit)
    });
    shown.collect()
}

/// Whether `one` says more of what is left at `now` than `other`.
fn comes_before(one: &QuotaReading, other: &QuotaReading, now: Timestamp) -> bool {
    match (one.is_reset(now), other.is_reset(now)) {
        (false, true) => true,
        (true, false) => false,
        (true, true) => one.observed_at > other.observed_at,
        (false, false) => match (one.share_left(), other.share_left()) {
            (Some(one), Some(other)) => one < other,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (None, None) => one.observed_at > other.observed_at,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::answer::quota::Quota;
    use std::sync::Arc;
    use std::time::Duration;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_nanos(seconds * 1_000_000_000)
    }

    fn reading(model: &str, remaining: u64, resets_at: Option<u64>, seen: u64) -> QuotaReading {
        QuotaReading {
            provider: Arc::from("openai"),
            model: Arc::from(model),
            resource: "tokens",
            quota: Quota {
                limit: Some(100),
                remaining: Some(remaining),
                resets_at: resets_at.map(at),
            },
            observed_at: at(seen),
        }
    }

    fn remaining(readings: impl Into<Arc<[QuotaReading]>>) -> Option<u64> {
        let mut snapshot = Snapshot::empty(at(0), Duration::ZERO, Arc::default());
        snapshot.collected_at = at(50);
        snapshot.quotas = readings.into();
        assert!(of_provider(&snapshot, "anthropic").is_empty());
        of_provider(&snapshot, "openai").get("tokens")?.remaining
    }

    #[test]
    fn the_least_share_left_is_shown_as_long_as_it_is_true() {
        let low = reading("a", 5, Some(60), 10);
        let lower = reading("b", 3, Some(40), 20);
        let high = reading("c", 90, None, 30);
        let all = [low.clone(), high.clone(), lower.clone()];
        assert_eq!(remaining(all), Some(5), "that of b has been reset");
        assert_eq!(remaining([lower.clone(), high]), Some(90));
        let later = reading("d", 70, Some(45), 21);
        assert_eq!(remaining([lower, later]), Some(70), "the last word on it");
        assert_eq!(remaining([]), None);
    }
}
