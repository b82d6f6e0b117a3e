//! What became of what was pushed, by destination: every loss has a reason.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use crate::clock::Timestamp;

/// Why something was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// It came while the queue was full.
    QueueFull,
    /// The destination does not want it, now or later.
    Refused,
    /// The destination was busy or broken until there was no more time.
    Unavailable,
    /// There was no answer until there was no more time.
    Unreachable,
    /// There was an answer, and it made no sense, until there was no more time.
    Unreadable,
    /// The destination finds it too large, alone as well.
    TooLarge,
    /// It could not be made.
    NotRendered,
    /// The monitor was shut down, and its deadline passed.
    Shutdown,
}

impl Loss {
    pub(crate) const ALL: [Self; 8] = [
        Self::QueueFull,
        Self::Refused,
        Self::Unavailable,
        Self::Unreachable,
        Self::Unreadable,
        Self::TooLarge,
        Self::NotRendered,
        Self::Shutdown,
    ];

    /// As it is told.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
            Self::Unreachable => "unreachable",
            Self::Unreadable => "unreadable",
            Self::TooLarge => "too_large",
            Self::NotRendered => "not_rendered",
            Self::Shutdown => "shutdown",
        }
    }
}

/// All destinations of a monitor.
#[derive(Debug, Default)]
pub(crate) struct Deliveries(Mutex<Vec<Arc<Delivered>>>);

/// What became of what was pushed to one destination.
#[derive(Debug)]
pub(crate) struct Delivered {
    /// Says what it is, and the how manieth; never where.
    name: String,
    offered: AtomicU64,
    sent: AtomicU64,
    failed_attempts: AtomicU64,
    dropped: [AtomicU64; Loss::ALL.len()],
    /// In nanoseconds; zero for never.
    last_sent: AtomicU64,
}

impl Deliveries {
    /// One more destination, of that `kind`.
    #[cfg_attr(
        not(any(feature = "push", feature = "otlp")),
        expect(dead_code, reason = "without the feature nothing is pushed")
    )]
    pub(crate) fn add(&self, kind: &str) -> Arc<Delivered> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_of_kind = |known: &&Arc<Delivered>| known.name.starts_with(kind);
        let name = match all.iter().filter(is_of_kind).count() {
            0 => kind.to_owned(),
            others => format!("{kind}-{}", others.saturating_add(1)),
        };
        let delivered = Arc::new(Delivered::new(name));
        all.push(Arc::clone(&delivered));
        delivered
    }

    /// All of them, in the order in which they were added.
    pub(crate) fn all(&self) -> Vec<Arc<Delivered>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.clone()
    }

    /// What became of what was pushed, by destination.
    pub(crate) fn health(&self) -> BTreeMap<String, PushHealth> {
        let all = self.all();
        let health = all.iter().map(|one| (one.name.clone(), one.health()));
        health.collect()
    }
}

#[cfg_attr(
    not(any(feature = "push", feature = "otlp")),
    expect(dead_code, reason = "without the feature nothing is pushed")
)]
impl Delivered {
    pub(crate) fn new(name: String) -> Self {
        Self {
            name,
            offered: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            failed_attempts: AtomicU64::new(0),
            dropped: Default::default(),
            last_sent: AtomicU64::new(0),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// `count` more are to be sent.
    pub(crate) fn offer(&self, count: u64) {
        self.offered.fetch_add(count, Ordering::Relaxed);
    }

    /// `count` of them are where they should be.
    pub(crate) fn send(&self, count: u64, now: Timestamp) {
        self.sent.fetch_add(count, Ordering::Relaxed);
        self.last_sent.store(now.as_unix_nanos(), Ordering::Relaxed);
    }

    /// An attempt failed; there may be another.
    pub(crate) fn fail(&self) {
        self.failed_attempts.fetch_add(1, Ordering::Relaxed);
    }

    /// `count` of them are given up.
    pub(crate) fn lose(&self, count: u64, loss: Loss) {
        if let Some(dropped) = self.dropped.get(loss as usize) {
            dropped.fetch_add(count, Ordering::Relaxed);
        }
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub(crate) fn failed_attempts(&self) -> u64 {
        self.failed_attempts.load(Ordering::Relaxed)
    }

    pub(crate) fn dropped(&self, loss: Loss) -> u64 {
        let dropped = self.dropped.get(loss as usize);
        dropped.map_or(0, |dropped| dropped.load(Ordering::Relaxed))
    }
}

impl Delivered {
    fn health(&self) -> PushHealth {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let dropped = Loss::ALL.iter().zip(&self.dropped);
        let last_sent = Timestamp::from_unix_nanos(load(&self.last_sent));
        PushHealth {
            sent: load(&self.sent),
            failed_attempts: load(&self.failed_attempts),
            dropped: dropped.map(|(loss, n)| (loss.text(), load(n))).collect(),
            // Read last: it is never less than what became of it.
            offered: load(&self.offered),
            last_sent: (last_sent > Timestamp::EPOCH)
                .then(|| last_sent.as_unix_nanos() / 1_000_000_000),
        }
    }
}

/// What became of what was pushed to one destination: documents for Elasticsearch, data points for
/// `otlp_metrics`, spans for `otlp_traces`, whole messages for all others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[non_exhaustive]
pub struct PushHealth {
    /// How many were to be sent. What waits for its turn or for another attempt is not yet in
    /// `sent` or `dropped`.
    pub offered: u64,
    /// How many the destination took.
    pub sent: u64,
    /// How many attempts failed, whether there was another one or not.
    pub failed_attempts: u64,
    /// How many were given up, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
    /// When the destination last took one, in whole Unix seconds; `null` before the first.
    pub last_sent: Option<u64>,
}

#[cfg(all(test, feature = "push"))]
mod tests {
    use super::*;

    #[test]
    fn what_is_offered_is_sent_dropped_or_waits() {
        let deliveries = Deliveries::default();
        let (first, second) = (deliveries.add("webhook"), deliveries.add("webhook"));
        first.offer(5);
        first.send(2, Timestamp::from_unix_nanos(3_000_000_000));
        first.lose(2, Loss::Refused);
        second.fail();
        let health = deliveries.health();
        let (first, second) = (&health["webhook"], &health["webhook-2"]);
        assert_eq!((first.offered, first.sent), (5, 2));
        assert_eq!(first.dropped.values().sum::<u64>(), 2);
        assert_eq!(first.dropped["refused"], 2);
        assert_eq!(first.last_sent, Some(3));
        assert_eq!((second.failed_attempts, second.last_sent), (1, None));
        for (place, loss) in Loss::ALL.into_iter().enumerate() {
            assert_eq!(loss as usize, place, "{loss:?} has its own counter");
        }
    }
}
